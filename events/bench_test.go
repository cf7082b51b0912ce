package events

import "testing"

func BenchmarkDecode(b *testing.B) {
	body := readGolden(b, "sale.line_added.v1")
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := Decode(body); err != nil {
			b.Fatal(err)
		}
	}
}
