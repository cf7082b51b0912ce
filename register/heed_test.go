package register

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/internal/checkpoint"
)

// playedOffice is head office as far as it signs.
type playedOffice struct {
	t      *testing.T
	key    string
	signer *checkpoint.Signer
}

func newPlayedOffice(t *testing.T) *playedOffice {
	private, public, err := checkpoint.GenerateKey("hq")
	require.NoError(t, err)
	signer, err := checkpoint.NewSigner(private)
	require.NoError(t, err)
	return &playedOffice{t, public, signer}
}

// mark is head office's signature under a head of a register's journal.
func (o *playedOffice) mark(register string, head events.Head) string {
	mark, err := o.signer.Sign(checkpoint.Checkpoint{Origin: fmt.Sprintf("%s/%d", register, head.Epoch), Size: head.Sequence, Hash: head.Hash})
	require.NoError(o.t, err)
	return mark
}

// heads reads the heads of the till's journal: heads()[n] is that of entry n.
func (t *testTill) heads() []events.Head {
	t.t.Helper()
	heads := []events.Head{{}}
	epoch := t.View().Head.Epoch
	for n := uint64(1); n <= t.View().Head.Sequence; n++ {
		m, err := t.Register.journal.Get(t.t.Context(), n)
		require.NoError(t.t, err)
		heads = append(heads, events.Head{Epoch: epoch, Sequence: n, Hash: events.Hash(m.Body)})
	}
	return heads
}

// TestHeadOfficesWord: the register keeps what the head office says whose key it had first, and nothing that is signed by
// anybody else, or about anybody else.
func TestHeadOfficesWord(t *testing.T) {
	till, office, other := newTestTill(t), newPlayedOffice(t), newPlayedOffice(t)
	heads := till.heads()
	heed := func(key, mark string) error {
		return till.heed(t.Context(), 1, events.Acknowledgement{Key: key, Mark: mark})
	}
	marked := func() events.Head {
		head, err := till.witness.kept.head(till.cfg.Register)
		require.NoError(t, err)
		return head
	}
	require.NoError(t, heed(office.key, ""))
	require.Equal(t, office.key, till.witness.kept.Key)
	require.NoError(t, heed(office.key, office.mark("s001-r01", heads[2])))
	require.Equal(t, heads[2], marked())

	for what, ack := range map[string]struct{ key, mark string }{
		"another head office":            {other.key, other.mark("s001-r01", heads[3])},
		"another key, the right mark":    {other.key, office.mark("s001-r01", heads[3])},
		"no key":                         {"", office.mark("s001-r01", heads[3])},
		"the right key, another's mark":  {office.key, other.mark("s001-r01", heads[3])},
		"of another register":            {office.key, office.mark("s001-r02", heads[3])},
		"of another store's register":    {office.key, office.mark("s002-r01", heads[3])},
		"of no register":                 {office.key, office.mark("", heads[3])},
		"nothing that is signed":         {office.key, "s001-r01/1\n3\n"},
		"the right mark with lines more": {office.key, office.mark("s001-r01", heads[3]) + "more\n"},
	} {
		require.Error(t, heed(ack.key, ack.mark), what)
		require.Equal(t, heads[2], marked(), what)
		require.Equal(t, office.key, till.witness.kept.Key, what)
		require.Nil(t, till.Damage(), what)
	}
	require.NoError(t, heed(office.key, office.mark("s001-r01", heads[3])))
	require.Equal(t, heads[3], marked())

	till.reopen()
	require.Equal(t, heads[3], marked(), "it is kept on disk")
	require.Error(t, heed(other.key, other.mark("s001-r01", heads[3])))

	// An activation says which head office is the true one: what the one before signed is void.
	require.NoError(t, till.believe(""))
	require.NoError(t, till.believe(office.key))
	require.Equal(t, heads[3], marked())
	require.NoError(t, till.believe(other.key))
	require.Equal(t, events.Head{}, marked())
	require.Error(t, heed(office.key, office.mark("s001-r01", heads[3])))
	require.NoError(t, heed(other.key, other.mark("s001-r01", heads[1])))
	require.Equal(t, heads[1], marked())
}

// TestFrozenByAMark: a mark that goes further than the journal, or has another entry, ends the epoch, and a start later it is
// still over. A mark of another epoch says nothing about this one.
func TestFrozenByAMark(t *testing.T) {
	for what, c := range map[string]struct {
		change func(*events.Head)
		kind   string // "" for not frozen
	}{
		"the last entry":               {func(*events.Head) {}, ""},
		"one entry more than there is": {func(h *events.Head) { h.Sequence++ }, events.FrozenRolledBack},
		"another entry":                {func(h *events.Head) { h.Hash[0] ^= 1 }, events.FrozenForked},
		"an earlier entry's hash":      {func(h *events.Head) { h.Sequence-- }, events.FrozenForked},
		"no entry yet":                 {func(h *events.Head) { *h = events.Head{Epoch: 1, Hash: events.Hash([]byte("x"))} }, ""},
		"a later epoch":                {func(h *events.Head) { h.Epoch, h.Sequence = 2, 99 }, ""},
	} {
		t.Run(what, func(t *testing.T) {
			till, office := newTestTill(t), newPlayedOffice(t)
			head := till.View().Head
			c.change(&head)
			require.NoError(t, till.heed(t.Context(), 1, events.Acknowledgement{Key: office.key, Mark: office.mark("s001-r01", head)}))
			check := func() {
				if c.kind == "" {
					require.Nil(t, till.Damage())
					till.must(700, `{"staff":"7","pin":"1"}`)
					return
				}
				require.True(t, Frozen(till.Damage()), "%v", till.Damage())
				require.Equal(t, c.kind, till.Damage().Kind)
				_, err := till.do("01J0000000000000000000000B", 100, `{"product":"TEA"}`)
				require.ErrorContains(t, err, "register_frozen")
			}
			check()
			till.reopen()
			check()
		})
	}
	t.Run("head office says so", func(t *testing.T) {
		till, office := newTestTill(t), newPlayedOffice(t)
		heads := till.heads()
		require.NoError(t, till.heed(t.Context(), 1, events.Acknowledgement{Key: office.key, Mark: office.mark("s001-r01", heads[2])}))
		frozen := &events.Freeze{Kind: events.FrozenCloned, Why: "two tills"}
		require.NoError(t, till.heed(t.Context(), 2, events.Acknowledgement{Key: office.key, Mark: office.mark("s001-r01", heads[2]), Frozen: frozen}))
		require.Nil(t, till.Damage(), "that was said of another epoch")
		require.NoError(t, till.heed(t.Context(), 1, events.Acknowledgement{Key: office.key, Mark: office.mark("s001-r01", heads[2]), Frozen: frozen}))
		require.Equal(t, events.FrozenCloned, till.Damage().Kind)
		require.Equal(t, uint64(2), till.witness.kept.Uploaded, "both histories are one up to the mark")
		till.reopen()
		require.Equal(t, events.FrozenCloned, till.Damage().Kind)
	})
}
