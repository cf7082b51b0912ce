package events

import (
	"bytes"
	"fmt"
	"slices"
)

// maxNames bounds the names of one object, so that comparing each with those before it stays cheap.
const maxNames = 64

// attributes are the names in an [Envelope] and, beside them, the data.
var attributes = []string{
	"specversion", "id", "source", "type", "subject", "time", "sequence", "epoch", "prevhash", "operation",
	"command", "staff", "approver", "shift", "mode", "datacontenttype", "data",
}

// checkNames says whether the objects in body, which is valid JSON, spell their
// names as they are stored and use none twice. encoding/json takes the last of
// two, passes over attributes that it does not know, and reads "MODE" as "mode":
// an entry could show one thing to a till and another to jq.
func checkNames(body []byte) error {
	names := make([][]byte, 0, maxNames) // of the open objects, the innermost last
	starts := make([]int, 0, 8)          // where in names each open object begins; list for a list
	const list = -1
	expected := false // the next string is a name
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '{':
			starts, expected = append(starts, len(names)), true
		case '[':
			starts, expected = append(starts, list), false
		case '}', ']':
			if start := starts[len(starts)-1]; start != list {
				names = names[:start]
			}
			starts, expected = starts[:len(starts)-1], false
		case ',':
			expected = starts[len(starts)-1] != list
		case '"':
			end := i + 1
			for ; body[end] != '"'; end++ {
				if body[end] == '\\' {
					end++
				}
			}
			name := body[i+1 : end]
			i = end
			if !expected {
				continue
			}
			expected = false
			siblings := names[starts[len(starts)-1]:]
			switch {
			case !storedName(name):
				return fmt.Errorf("%.40q is not a stored name", name)
			case len(starts) == 1 && !slices.Contains(attributes, string(name)):
				return fmt.Errorf("attribute %.40q is not known", name)
			case len(siblings) == maxNames:
				return fmt.Errorf("an object has more than %d names", maxNames)
			case slices.ContainsFunc(siblings, func(s []byte) bool { return bytes.Equal(s, name) }):
				return fmt.Errorf("%.40q twice in one object", name)
			}
			names = append(names, name)
		}
	}
	return nil
}

// storedName says whether every byte is of a-z, 0-9 and _, as in all names that [Seal] writes.
func storedName(name []byte) bool {
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return len(name) > 0
}
