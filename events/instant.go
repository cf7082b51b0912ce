package events

import (
	"fmt"
	"time"
)

// Instant is a moment, in seconds since 1970 in UTC. As text it is RFC 3339 with the zone Z.
type Instant int64

// MarshalText writes "2026-03-29T01:00:00Z".
func (i Instant) MarshalText() ([]byte, error) {
	return time.Unix(int64(i), 0).UTC().AppendFormat(nil, time.RFC3339), nil
}

// UnmarshalText reads the form that MarshalText writes. It refuses a time with another zone or a
// part of a second.
func (i *Instant) UnmarshalText(b []byte) error {
	t, err := time.Parse("2006-01-02T15:04:05Z", string(b))
	if err != nil || t.Nanosecond() != 0 {
		return fmt.Errorf("time %.40q: want RFC 3339 in UTC to the second, such as 2026-03-29T01:00:00Z", b)
	}
	*i = Instant(t.Unix())
	return nil
}

// UnixSeconds is a stored time, RFC 3339 with or without parts of a second, in seconds since
// 1970, and whether it is one.
func UnixSeconds(at string) (seconds int64, ok bool) {
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return 0, false
	}
	return t.Unix(), true
}
