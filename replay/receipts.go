package replay

import (
	"slices"
	"strconv"
	"strings"
)

// receipts checks that receipt numbers are gapless. The mask of the numbers is unknown, because it
// is reference data and not in the journal. The number is a run of digits somewhere in the text. So
// each place where the first receipt has the first number may hold it. A later receipt removes the
// places where it does not have the next number. If no place is left, the receipt is not the next
// one.
type receipts struct {
	places []place // possible places of the number
	unsure bool    // entries are missing: any number may be next
	last   string
	begun  uint64 // number of receipts in the epochs before
}

// place is a possible place of the number in the text: after the first bytes and before the last
// ones, as counted here.
type place struct {
	before, after int
	next          uint64 // the next number at this place
}

func (r *receipts) doubt() { r.unsure = true }

// next reports whether number can be the next receipt number.
func (r *receipts) next(number string) bool {
	if r.places == nil || r.unsure {
		first := r.last == "" && !r.unsure
		r.places = slices.DeleteFunc(numbersIn(number), func(p place) bool { return first && p.next != r.begun+2 })
		r.unsure = false
		return len(r.places) > 0
	}
	left := r.places[:0]
	for _, p := range r.places {
		if n, ok := p.in(number); ok && n == p.next {
			p.next++
			left = append(left, p)
		}
	}
	if len(left) > 0 {
		r.places = left
		return true
	}
	if sameShape(number, r.last) {
		return false
	}
	// Head office has given the register another mask: the count continues at a new place.
	want := r.places[0].next
	r.places = slices.DeleteFunc(numbersIn(number), func(p place) bool { return p.next != want+1 })
	return len(r.places) > 0
}

// in reads the number at p.
func (p place) in(number string) (uint64, bool) {
	if len(number) <= p.before+p.after {
		return 0, false
	}
	digits := number[p.before : len(number)-p.after]
	if strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}

// numbersIn returns every place in number that holds digits, with the next number at that place.
func numbersIn(number string) (all []place) {
	for before := range len(number) {
		for end := before + 1; end <= len(number); end++ {
			p := place{before: before, after: len(number) - end}
			n, ok := p.in(number)
			if !ok {
				break
			}
			p.next = n + 1
			all = append(all, p)
		}
	}
	return all
}

// sameShape reports whether two receipt numbers are the same apart from their digits. The runs of
// digits may differ in length.
func sameShape(a, b string) bool {
	digit := func(r rune) bool { return '0' <= r && r <= '9' }
	return slices.Equal(strings.FieldsFunc(a, digit), strings.FieldsFunc(b, digit))
}
