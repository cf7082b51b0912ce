package register

import (
	"encoding/json"
	"fmt"

	"github.com/posnode/posnode/embedded"
	"github.com/posnode/posnode/events"
)

// maxMarkFile is the largest mark.json that is read, in bytes. A register writes less than 4 KiB.
const maxMarkFile = 1 << 20

// ReadMark returns the head that head office has signed, from the mark.json of a data directory. It
// goes by the key of head office that the caller gives, never by the one in the file. A mark that
// says nothing yet is the zero head; a missing file is [fs.ErrNotExist].
func ReadMark(dir, key string, register events.Register) (events.Head, error) {
	raw, err := embedded.ReadFile(markPath(dir), maxMarkFile)
	if err != nil {
		return events.Head{}, err
	}
	var k kept
	if err := json.Unmarshal(raw, &k); err != nil {
		return events.Head{}, fmt.Errorf("read %s: %w", markPath(dir), err)
	}
	k.Key = key
	return k.head(register)
}
