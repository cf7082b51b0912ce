package replay

import (
	"slices"
	"strconv"
	"strings"
)

// receipts checks that receipt numbers are gapless without knowing their mask,
// which is reference data and not in the journal. A number is a run of digits
// somewhere in the text, so that each place at which the first receipt has the first
// number is taken for it, until a receipt says otherwise: one that goes on at no place that
// is left is not the next.
type receipts struct {
	places []place // where the number may be
	unsure bool    // entries were missed: any number may be next
	last   string
	begun  uint64 // how many there were in the epochs before
}

// place is where the number may be: after so many bytes, before so many.
type place struct {
	before, after int
	next          uint64 // what must stand there
}

func (r *receipts) doubt() { r.unsure = true }

// next says whether number can be the next one.
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
	// HQ has given the register another mask: the count goes on at a new place.
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

// numbersIn lists every place in number that holds digits, with what would follow there.
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

// sameShape says whether two numbers are alike but for the digits, however many, in their places.
func sameShape(a, b string) bool {
	digit := func(r rune) bool { return '0' <= r && r <= '9' }
	return slices.Equal(strings.FieldsFunc(a, digit), strings.FieldsFunc(b, digit))
}
