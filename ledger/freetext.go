package ledger

import (
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// holdsCardNumber says whether a payment card's number stands in a text: 13 to
// 19 digits, also in groups with spaces, dots, dashes or slashes between them, that
// begin as a scheme's numbers do and pass the Luhn check. Digits count in whatever script and
// style they are written, and signs that nobody sees count as nothing. Only whole groups count, so that
// a longer number is not taken for a card that it happens to contain; and a number
// of 13 digits that is a sound GTIN-13 is the barcode that it looks like, for cards of 13 digits are no longer given out.
func holdsCardNumber(text string) bool {
	var groups []string // of digits, with nothing but a separator between them
	group, gap := "", 0
	search := func() bool {
		if group != "" {
			groups, group = append(groups, group), ""
		}
		return slicesHoldCard(groups)
	}
	for _, r := range norm.NFKC.String(text) {
		switch digit, ok := digitOf(r); {
		case invisible(r):
		case ok:
			group, gap = group+digit, 0
		case unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) || strings.ContainsRune("./_·•−", r):
			if group != "" {
				groups, group = append(groups, group), ""
			}
			if gap++; gap <= 3 {
				continue
			}
			fallthrough
		default:
			if search() {
				return true
			}
			groups, gap = nil, 0
		}
	}
	return search()
}

// slicesHoldCard says whether groups that follow one another make a card's number.
func slicesHoldCard(groups []string) bool {
	for i := range groups {
		number := ""
		for _, g := range groups[i:] {
			if number += g; len(number) > 19 {
				break
			}
			if len(number) >= 13 && ofScheme(number) && luhn(number) && !(len(number) == 13 && gtin13(number)) {
				return true
			}
		}
	}
	return false
}

// invisible says whether a rune takes no place on paper: format characters such as the zero-width
// space, marks on what stands before them, and fillers.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Mn, unicode.Me, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point) || r == '\u2800'
}

// digitOf is the ASCII form of a decimal digit of any script.
func digitOf(r rune) (string, bool) {
	if !unicode.IsDigit(r) {
		return "", false
	}
	value := 0
	for value < 9 && unicode.IsDigit(r-rune(value)-1) {
		value++
	}
	return strconv.Itoa(value), true
}

// ofScheme says whether a card scheme gives out numbers that begin so: Visa, Mastercard and
// Maestro, American Express, Diners Club, JCB, Discover and UnionPay.
func ofScheme(number string) bool {
	from := func(digits int) int { n, _ := strconv.Atoi(number[:digits]); return n }
	n := len(number)
	switch two, three, four := from(2), from(3), from(4); {
	case number[0] == '4':
		return n == 13 || n == 16 || n == 19
	case two >= 51 && two <= 55 || four >= 2221 && four <= 2720:
		return n == 16
	case two == 34 || two == 37:
		return n == 15
	case three >= 300 && three <= 305 || two == 36 || two == 38 || two == 39:
		return n >= 14
	case four >= 3528 && four <= 3589:
		return n >= 16
	case two == 50 || two >= 56 && two <= 69:
		return true
	}
	return false
}

// luhn says whether the last digit checks the others by ISO/IEC 7812.
func luhn(number string) bool {
	sum := 0
	for i := range len(number) {
		digit := int(number[len(number)-1-i] - '0')
		if i%2 == 1 {
			if digit *= 2; digit > 9 {
				digit -= 9
			}
		}
		sum += digit
	}
	return sum%10 == 0
}

// gtin13 says whether the last digit checks the others as on a barcode.
func gtin13(number string) bool {
	sum := 0
	for i := range len(number) {
		digit := int(number[i] - '0')
		if i%2 == 1 {
			digit *= 3
		}
		sum += digit
	}
	return sum%10 == 0
}
