package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/stretchr/testify/require"
)

// TestDecodeRefuses: one defect at a time in an entry that is sound without it.
func TestDecodeRefuses(t *testing.T) {
	withDoor(t)
	sound := doorEntry("v3", `{"milliseconds":3000,"door":"front"}`)
	_, err := Decode([]byte(sound))
	require.NoError(t, err)
	for _, c := range []struct{ name, old, new, says string }{
		{"nothing", sound, ``, "entry is not what it must be"},
		{"no object", sound, `[]`, "entry is not what it must be"},
		{"null", sound, `null`, "specversion"},
		{"cut off", `"front"}}`, `"fron`, "entry is not what it must be"},
		{"two objects", `"front"}}`, `"front"}}{}`, "entry is not what it must be"},
		{"bytes that are not UTF-8", `front`, "A\xffn", "UTF-8"},
		{"UTF-8 that is too long", `front`, "A\xc0\x80n", "UTF-8"},
		{"half a surrogate pair in UTF-8", `front`, "A\xed\xa0\x80n", "UTF-8"},

		{"another specversion", `"specversion":"1.0"`, `"specversion":"1.1"`, "specversion"},
		{"another content", `application/json`, `application/xml`, "datacontenttype"},
		{"no id", `"id":"01KJPB5X00EXAMP1EEXAMP1E00",`, ``, "ULID"},
		{"id in lower case", `01KJPB5X00EXAMP1EEXAMP1E00`, `01kjpb5x00examp1eexamp1e00`, "ULID"},
		{"id beyond 128 bits", `01KJPB5X00EXAMP1EEXAMP1E00`, `81KJPB5X00EXAMP1EEXAMP1E00`, "ULID"},
		{"id with a letter that is none", `01KJPB5X00EXAMP1EEXAMP1E00`, `01KJPB5X00EXAMPLEEXAMP1E00`, "ULID"},
		{"no store", `/stores/s001/registers/r01`, `/stores//registers/r01`, "source"},
		{"store in upper case", `/stores/s001/`, `/stores/S001/`, "source"},
		{"store of two tokens", `/stores/s001/`, `/stores/s.001/`, "source"},
		{"more after the register", `/registers/r01`, `/registers/r01/`, "source"},
		{"time of another zone", `30:15.120000000Z`, `30:15.120000000+01:00`, "time"},
		{"time without decimals", `30:15.120000000Z`, `30:15Z`, "time"},
		{"time with a comma", `30:15.120000000Z`, `30:15,120000000Z`, "time"},
		{"time that is none", `2026-03-02T`, `2026-02-30T`, "time"},
		{"sequence 0", `"sequence":"42"`, `"sequence":"0"`, "sequence"},
		{"sequence with a zero", `"sequence":"42"`, `"sequence":"042"`, "sequence"},
		{"sequence with a sign", `"sequence":"42"`, `"sequence":"+42"`, "sequence"},
		{"sequence as a number", `"sequence":"42"`, `"sequence":42`, "entry is not what it must be"},
		{"sequence beyond 64 bits", `"sequence":"42"`, `"sequence":"18446744073709551616"`, "sequence"},
		{"epoch 0", `"epoch":1`, `"epoch":0`, "epoch"},
		{"epoch as a fraction", `"epoch":1`, `"epoch":1.0`, "entry is not what it must be"},
		{"prevhash too short", `"prevhash":"e3`, `"prevhash":"`, "prevhash"},
		{"prevhash that is not hex", `"prevhash":"e3`, `"prevhash":"zz`, "prevhash"},
		// sha256sum writes lower case, and an auditor's shell must find equal every digest that
		// posnode accepts.
		{"prevhash in upper case", `"prevhash":"e3`, `"prevhash":"E3`, "prevhash"},
		{"another mode", `"mode":"offline"`, `"mode":"training"`, "mode"},
		{"another subject", `"subject":"front"`, `"subject":"back"`, "subject"},

		// A reader that takes the first of two, or is strict about case, must see the same entry as
		// the till.
		{"an attribute twice", `"mode":"offline"`, `"mode":"online","mode":"offline"`, "duplicate object member name"},
		{"an attribute twice with an escape", `"mode":"offline"`, `"mod\u0065":"online","mode":"offline"`, "object member name"},
		{"an attribute in another case", `"mode":"offline"`, `"MODE":"offline"`, "object member name"},
		{"an attribute nobody knows", `"mode":"offline"`, `"mode":"offline","color":"red"`, `"color"`},
		{"data twice", `"data":{`, `"data":{},"data":{`, "duplicate object member name"},
		{"a field twice", `"door":`, `"door":"back","door":`, "duplicate object member name"},
		{"a field in another case", `"door":`, `"Door":`, "object member name"},
		{"a field nobody knows", `"door":`, `"till":"r01","door":`, "unknown object member name"},
		{"a field of another type", `3000`, `"3000"`, "data of"},

		{"no data", `,"data":{"milliseconds":3000,"door":"front"}`, ``, "data of"},
		{"data null", `{"milliseconds":3000,"door":"front"}`, `null`, "data of"},
		{"data a list", `{"milliseconds":3000,"door":"front"}`, `[]`, "data of"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Contains(t, sound, c.old)
			e, err := Decode([]byte(strings.Replace(sound, c.old, c.new, 1)))
			require.Error(t, err)
			require.Nil(t, e)
			require.Contains(t, err.Error(), c.says)
			require.Less(t, len(err.Error()), 500, "a message must not repeat a megabyte")
		})
	}
}

func TestDecodeManyNames(t *testing.T) {
	var body strings.Builder
	body.WriteString(`{"data":{`)
	for i := range 50_000 {
		fmt.Fprintf(&body, `"n%d":0,`, i)
	}
	body.WriteString(`"end":0}}`)
	_, err := Decode([]byte(body.String()))
	require.Error(t, err)
}

func TestDecodeUnknownType(t *testing.T) {
	body := strings.Replace(string(readGolden(t, "staff.logged_on.v1")), "logged_on.v1", "logged_on.v9", 1)
	_, err := Decode([]byte(body))
	var unknown *UnknownTypeError
	require.ErrorAs(t, err, &unknown, "what a newer program wrote is told from what is broken")
	require.Equal(t, "staff.logged_on.v9", unknown.Type)
}

// TestNumbersInFacts shows the forms that a number in a stored fact may have.
func TestNumbersInFacts(t *testing.T) {
	sound := string(readGolden(t, "sale.quantity_set.v1"))
	for _, c := range []struct{ old, new string }{
		{`"subtotal":438`, `"subtotal":438.0`},
		{`"subtotal":438`, `"subtotal":4.38e2`},
		{`"subtotal":438`, `"subtotal":"438"`},
		{`"subtotal":438`, `"subtotal":9223372036854775808`},
		{`"quantity":"0.75"`, `"quantity":0.75`},
		{`"quantity":"0.75"`, `"quantity":"75e-2"`},
		{`"quantity":"0.75"`, `"quantity":"0.75001"`},
		{`"quantity":"0.75"`, `"quantity":"10000000.1"`},
		{`"quantity":"0.75"`, `"quantity":""`},
		{`"quantity":"0.75"`, `"quantity":"` + strings.Repeat("9", 500_000) + `"`},
		{`"line":1`, `"line":1.5`},
	} {
		require.Contains(t, sound, c.old)
		_, err := Decode([]byte(strings.Replace(sound, c.old, c.new, 1)))
		require.Error(t, err, "%.80s", c.new)
	}
}

func TestMaxBody(t *testing.T) {
	fact := &StaffLoggedOn{Asked: sampleAsked, Staff: "7", Name: "x"}
	m, _, err := sealSample(fact)
	require.NoError(t, err)
	fact.Name = strings.Repeat("x", MaxBody-len(m.Body)+1)
	m, _, err = sealSample(fact)
	require.NoError(t, err)
	require.Len(t, m.Body, MaxBody, "the largest entry")
	_, err = Decode(m.Body)
	require.NoError(t, err)

	fact.Name += "x"
	_, _, err = sealSample(fact)
	require.ErrorContains(t, err, "larger")
	_, err = Decode(append(m.Body, ' '))
	require.ErrorContains(t, err, "larger")
}

// TestSealInvalidUTF8: bytes that are not UTF-8 are written as the replacement character, so that
// stored text is always UTF-8 and reads as it was hashed.
func TestSealInvalidUTF8(t *testing.T) {
	m, _, err := sealSample(&StaffLoggedOn{Asked: sampleAsked, Staff: "7\xff", Name: "A\xffn"})
	require.NoError(t, err)
	e, err := Decode(m.Body)
	require.NoError(t, err)
	require.Equal(t, "A\ufffdn", e.Fact.(*StaffLoggedOn).Name)
}

func TestSealTimes(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	c := Circumstances{ID: ulid.MustParse("01KJPB5X00EXAMP1EEXAMP1E00"), Time: time.Date(2026, 3, 2, 9, 0, 0, 7, zone), Mode: Online}
	m, _, err := Seal(sampleRegister, Head{Epoch: 1}, c, &StaffLoggedOn{Staff: "7"})
	require.NoError(t, err)
	e, err := Decode(m.Body)
	require.NoError(t, err)
	require.Equal(t, "2026-03-02T08:00:00.000000007Z", e.Envelope.Time, "nanoseconds, UTC")
	require.True(t, c.Time.Equal(e.Time))
}

// TestUpcast: a fact that was stored in two older versions reads as the newest,
// one step after the other, and its hash stays that of the stored bytes.
func TestUpcast(t *testing.T) {
	r := withDoor(t)
	for version, data := range map[string]string{
		"v1": `{"seconds":3}`, "v2": `{"milliseconds":3000}`, "v3": `{"milliseconds":3000,"door":"front"}`,
	} {
		body := []byte(doorEntry(version, data))
		e, err := Decode(body)
		require.NoError(t, err, version)
		require.Equal(t, &doorOpened{Milliseconds: 3000, Door: "front"}, e.Fact, version)
		require.Equal(t, "test.door_opened."+version, e.Type, "the entry says what is stored")
		require.Equal(t, Hash(body), e.Head.Hash, "the hash is of what is stored")
	}
	require.Contains(t, r.Types(), "test.door_opened.v3")
	require.NotContains(t, r.Types(), "test.door_opened.v1", "nothing old is written any more")

	_, err := Decode([]byte(doorEntry("v1", `{"seconds":"3"}`)))
	require.ErrorContains(t, err, "bring test.door_opened.v1 up to test.door_opened.v2")

	require.Panics(t, func() { r.Add(func() Fact { return new(doorOpened) }) }, "a name twice")
	for _, to := range []string{"test.door_opened.v1", "test.door_opened.v3", "test.door_closed.v2", "test.door_opened"} {
		require.Panics(t, func() { r.AddUpcast("test.door_opened.v1", to, nil) }, "v1 to %s", to)
	}
}

// doorEntry is the 42nd entry of some journal.
func doorEntry(version, data string) string {
	return `{"specversion":"1.0","id":"01KJPB5X00EXAMP1EEXAMP1E00","source":"/stores/s001/registers/r01","type":"test.door_opened.` + version +
		`","subject":"front","time":"2026-03-02T09:30:15.120000000Z","sequence":"42","epoch":1,"prevhash":"` + Hash(nil).String() +
		`","mode":"offline","datacontenttype":"application/json","data":` + data + `}`
}

// withDoor registers, for one test, a fact in its third version.
func withDoor(t *testing.T) *Registry {
	r := newRegistry()
	r.Add(func() Fact { return new(doorOpened) })
	r.AddUpcast("test.door_opened.v1", "test.door_opened.v2", func(data json.RawMessage) (json.RawMessage, error) {
		var v1 struct {
			Seconds int `json:"seconds"`
		}
		if err := json.Unmarshal(data, &v1); err != nil {
			return nil, err
		}
		return json.Marshal(map[string]any{"milliseconds": v1.Seconds * 1000})
	})
	r.AddUpcast("test.door_opened.v2", "test.door_opened.v3", func(data json.RawMessage) (json.RawMessage, error) {
		return append(bytes.TrimSuffix(data, []byte("}")), `,"door":"front"}`...), nil
	})
	before := Facts
	Facts = r
	t.Cleanup(func() { Facts = before })
	return r
}

type doorOpened struct {
	Milliseconds int    `json:"milliseconds"`
	Door         string `json:"door"`
}

func (*doorOpened) Type() string    { return "test.door_opened.v3" }
func (f *doorOpened) About() string { return f.Door }

// FuzzDecode: Decode does not panic on any bytes. An entry that it accepts hashes to the same
// value, chains, and can be sealed again into an equal entry.
func FuzzDecode(f *testing.F) {
	for _, name := range Facts.Types() {
		body := readGolden(f, name)
		f.Add(body)
		f.Add(body[:len(body)/2])
		f.Add(bytes.ReplaceAll(body, []byte(`":"`), []byte(`":{"":"`)))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := Decode(body)
		if err != nil {
			require.Nil(t, e)
			return
		}
		require.Equal(t, Hash(body), e.Head.Hash)
		require.NoError(t, e.Register.Validate())
		require.NotZero(t, e.Head.Sequence)
		if e.Type != e.Fact.Type() {
			return // an older version seals as the newest
		}
		again, _, err := Seal(e.Register, Head{Epoch: e.Head.Epoch, Sequence: e.Head.Sequence - 1, Hash: e.PrevHash}, circumstances(e), e.Fact)
		if err != nil {
			require.ErrorContains(t, err, "larger", "escapes can make it longer, and nothing else can be wrong")
			return
		}
		twin, err := Decode(again.Body)
		require.NoError(t, err)
		require.Equal(t, e.Envelope, twin.Envelope)
		require.Equal(t, again.Body, reseal(t, twin).Body, "sealing has one form")
	})
}
