package embedded

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/posnode/posnode/events"
)

// The settings of the streams and consumers of journals, written out in full.

const (
	journalPrefix = "JOURNAL_"

	// hqConsumer is the durable consumer on every journal. HQ reads the journal through it.
	hqConsumer = "hq"

	// maxStored is the largest stored message in bytes, headers and body. It is the limit of a
	// stock server.
	maxStored = 1 << 20

	metaRegister = "posnode_register"
	metaEpoch    = "posnode_epoch"
)

func journalName(epoch int) string { return journalPrefix + strconv.Itoa(epoch) }

// journalEpoch is the inverse of journalName.
func journalEpoch(stream string) (int, bool) {
	n, ok := strings.CutPrefix(stream, journalPrefix)
	epoch, err := strconv.Atoi(n)
	return epoch, ok && err == nil && epoch > 0
}

func apiPrefix(r events.Register) string { return "$JS." + r.String() + ".API" }

// deliverSubject returns the subject on which a journal's entries travel to HQ. Nothing else
// travels on it.
func deliverSubject(r events.Register, epoch int) string {
	return fmt.Sprintf("up.%s.%d", r, epoch)
}

func journalSubjects(r events.Register) string {
	return fmt.Sprintf("pos.%s.%s.>", r.Store, r.ID)
}

// journalConfig returns the stream of a register's present epoch. None of its settings ever removes
// an entry, because that would leave a hole in the chain.
func journalConfig(r events.Register, epoch int, maxBytes int64) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        journalName(epoch),
		Description: "journal of register " + r.String() + ", epoch " + strconv.Itoa(epoch),
		Subjects:    []string{journalSubjects(r)},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Replicas:    1,
		MaxMsgs:     -1,
		MaxAge:      0,
		MaxBytes:    maxBytes,
		Discard:     jetstream.DiscardNew,
		MaxMsgSize:  maxStored,
		Duplicates:  2 * time.Minute,
		DenyDelete:  true,
		DenyPurge:   true,
		AllowDirect: true,
		Metadata:    map[string]string{metaRegister: r.String(), metaEpoch: strconv.Itoa(epoch)},
	}
}

// closedConfig returns the stream of an epoch that is over. It gives up the subjects for the next
// epoch, is sealed, and reserves no more room than it fills.
func closedConfig(c jetstream.StreamConfig, bytes uint64) jetstream.StreamConfig {
	c.Subjects = []string{"closed." + c.Name}
	c.MaxBytes = max(int64(bytes), 1)
	c.Sealed = true
	return c
}

// hqConsumerConfig returns the durable consumer through which HQ's stream sources a journal. HQ can
// only reset it. The entries up to its ack floor are on HQ's disk.
func hqConsumerConfig(r events.Register, epoch int) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:        hqConsumer,
		Description:    "replication to HQ",
		DeliverSubject: deliverSubject(r, epoch),
		DeliverPolicy:  jetstream.DeliverAllPolicy,
		AckPolicy:      jetstream.AckFlowControlPolicy,
		FlowControl:    true,
		IdleHeartbeat:  time.Second, // the server demands exactly this
		MaxAckPending:  maxUnacknowledged,
		MaxDeliver:     -1,
	}
}

// maxUnacknowledged bounds the entries on their way to HQ. They cost some memory on the register.
// After an interruption none is sent twice for it, because HQ names the sequence to go on from.
const maxUnacknowledged = 50_000

const shardPrefix = "JOURNALS_"

// shards is the number of HQ's streams of journals. A register belongs to one of them by its name,
// for ever. So this number never changes for an existing fleet.
const shards = 4

// shardConfig returns one of HQ's streams of journals. It has no subjects of its own, so a live
// publish cannot get in beside the sources. It has no limit that moves its first sequence.
func shardConfig(name string, replicas int, sources []*jetstream.StreamSource) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        name,
		Description: "journals of registers, as received",
		Sources:     sources,
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Replicas:    replicas,
		MaxMsgs:     -1,
		MaxBytes:    -1,
		Discard:     jetstream.DiscardNew,
		Duplicates:  30 * time.Minute, // a source that starts again repeats itself: nats.md, finding 1
		DenyDelete:  true,
		DenyPurge:   true,
		AllowDirect: true,
	}
}

// source returns the source of one journal for HQ's stream. It reads through the durable consumer
// on the register, so HQ needs no right there but to reset it.
func source(j JournalName) *jetstream.StreamSource {
	return &jetstream.StreamSource{
		Name:     journalName(j.Epoch),
		External: &jetstream.ExternalStream{APIPrefix: apiPrefix(j.Register)},
		Consumer: &jetstream.StreamConsumerSource{Name: hqConsumer, DeliverSubject: deliverSubject(j.Register, j.Epoch)},
	}
}

// sourceJournal is the inverse of source.
func sourceJournal(s *jetstream.StreamSource) (JournalName, error) {
	if s.External == nil {
		return JournalName{}, fmt.Errorf("source %s: not a register's", s.Name)
	}
	domain := strings.TrimSuffix(strings.TrimPrefix(s.External.APIPrefix, "$JS."), ".API")
	r, err := events.ParseRegister(domain)
	if err != nil {
		return JournalName{}, fmt.Errorf("source %s: %w", s.Name, err)
	}
	epoch, ok := journalEpoch(s.Name)
	if !ok {
		return JournalName{}, fmt.Errorf("source %s of %s: not a journal", s.Name, r)
	}
	return JournalName{Register: r, Epoch: epoch}, nil
}
