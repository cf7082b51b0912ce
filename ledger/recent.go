package ledger

import (
	"encoding/json"

	"github.com/posnode/posnode/events"
)

// RecentCommands is how many commands a state remembers by itself. A register
// looks older ones up in its offline database and hands them in as [Command.Prior].
const RecentCommands = 1024

// Done is a command that was carried out, and the entry that records it.
type Done struct {
	Key      events.CommandKey `json:"key"`
	Sequence uint64            `json:"sequence"`
	Input    string            `json:"input"`
	// GivenUp says that nobody knows whether it was carried out, and that it was given up.
	GivenUp bool `json:"given_up,omitempty"`
}

// recent remembers the last commands, oldest first. JSON: the list.
type recent struct {
	list  []Done // a ring once it is full
	next  int    // where the next one goes in a full ring
	index map[events.CommandKey]int
}

func (r *recent) add(d Done) {
	if r.index == nil {
		r.index = map[events.CommandKey]int{}
	}
	if len(r.list) < RecentCommands {
		r.index[d.Key] = len(r.list)
		r.list = append(r.list, d)
		return
	}
	delete(r.index, r.list[r.next].Key)
	r.list[r.next], r.index[d.Key] = d, r.next
	r.next = (r.next + 1) % RecentCommands
}

// Find is the command with that key, if it is among the remembered ones.
func (r *recent) Find(key events.CommandKey) (Done, bool) {
	i, ok := r.index[key]
	if !ok {
		return Done{}, false
	}
	return r.list[i], true
}

func (r recent) MarshalJSON() ([]byte, error) {
	oldestFirst := make([]Done, 0, len(r.list))
	oldestFirst = append(append(oldestFirst, r.list[r.next:]...), r.list[:r.next]...)
	return json.Marshal(oldestFirst)
}

func (r *recent) UnmarshalJSON(b []byte) error {
	var list []Done
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*r = recent{}
	for _, d := range list {
		r.add(d)
	}
	return nil
}
