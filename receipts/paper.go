package receipts

import (
	"strings"
	"unicode"

	"github.com/rivo/uniseg"
)

// Width is how many columns a line has. A character of East Asian scripts takes two.
const Width = 42

// paper is a document while it is written, line by line.
type paper struct{ text strings.Builder }

func (p *paper) line(s string) { p.text.WriteString(strings.TrimRight(s, " ") + "\n") }

func (p *paper) rule() { p.line(strings.Repeat("-", Width)) }

// left writes text from the margin, on as many lines as it takes.
func (p *paper) left(s string) {
	for _, line := range wrap(s, Width) {
		p.line(line)
	}
}

// center writes text in the middle, on as many lines as it takes.
func (p *paper) center(s string) {
	for _, line := range wrap(s, Width) {
		p.line(strings.Repeat(" ", (Width-width(line))/2) + line)
	}
}

// row writes a label and, at the end of its last line, an amount.
func (p *paper) row(label, value string) {
	value = clean(value)
	room := Width - width(value) - 1
	if room < Width/3 {
		// The value leaves no room: it gets a line of its own.
		p.left(label)
		for _, line := range wrap(value, Width) {
			p.line(strings.Repeat(" ", Width-width(line)) + line)
		}
		return
	}
	lines := wrap(label, room)
	for _, line := range lines[:len(lines)-1] {
		p.line(line)
	}
	last := lines[len(lines)-1]
	p.line(last + strings.Repeat(" ", Width-width(last)-width(value)) + value)
}

// width is how many columns s takes.
func width(s string) int { return uniseg.StringWidth(s) }

// clean removes characters that a printer could take for a command, or that turn the direction of
// the text: a description comes from outside.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r), r == unicode.ReplacementChar:
			return -1
		}
		return r
	}, s)
}

// wrap breaks text into lines of at most columns, between words where it can: at
// least one line, which may be empty. Leading spaces stay, as the indent of every line.
func wrap(s string, columns int) []string {
	s = clean(s)
	indent := s[:len(s)-len(strings.TrimLeft(s, " "))]
	if len(indent) > columns/2 {
		indent = ""
	}
	lines, line := []string{}, indent
	flush := func() { lines, line = append(lines, line), indent }
	for _, word := range strings.Fields(s) {
		if line != indent && width(line)+1+width(word) > columns {
			flush()
		}
		if line != indent {
			line += " "
		}
		for word != "" && width(line)+width(word) > columns {
			cluster, rest, w, _ := uniseg.FirstGraphemeClusterInString(word, -1)
			if width(line)+w > columns && line != indent {
				flush()
			}
			if w > columns-len(indent) {
				cluster = "?" // no line could hold it
			}
			line, word = line+cluster, rest
		}
		line += word
	}
	return append(lines, line)
}
