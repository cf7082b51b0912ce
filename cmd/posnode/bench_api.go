package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/posnode/posnode/register"
	"github.com/posnode/posnode/web"
)

// Sizes of the long carts that are scanned over HTTP.
const (
	longCarts    = 3
	longCart     = 1000   // lines of each
	cartEnd      = 100    // lines at its beginning, and as many at its end, that are timed apart
	cartProducts = 50_000 // in the catalogue
)

// scans are the times from scan to answer.
type scans struct {
	all, first, last []time.Duration // first and last: of the lines at the beginning and at the end of a cart
	operations       []time.Duration // scans and payments
}

// throughAPI scans long carts over HTTP, at a register as 'posnode register' runs it. It sends one
// operation after the other, as a till does. In turns with the scans it times a bare durable
// publish, and a write with fsync, of no more bytes.
func (b *bench) throughAPI(ctx context.Context) (err error) {
	b.say("scanning %d carts of %d lines over HTTP, of %d products", longCarts, longCart, cartProducts)
	config := b.config("", "")
	config.Dir = filepath.Join(b.dir, "api")
	r, err := register.Open(ctx, config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if report, err := r.Reference().Import(ctx, bytes.NewReader(benchShop(cartProducts)), time.Now(), false); err != nil {
		return fmt.Errorf("%w: %v", err, report.Problems)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	serving, stop := context.WithCancel(ctx)
	stopped := make(chan error, 1)
	go func() { stopped <- serve(serving, listener, web.Register(r, config.Logger, false)) }()
	defer func() {
		stop()
		err = errors.Join(err, <-stopped)
	}()
	till := &httpTill{base: "http://" + listener.Addr().String(), client: &http.Client{Timeout: time.Minute}}
	defer till.client.CloseIdleConnections()
	if err := till.open(ctx); err != nil {
		return err
	}
	bare, err := openFloor(ctx, filepath.Join(b.dir, "floor-api"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, bare.close()) }()
	disk, err := os.Create(filepath.Join(b.dir, "floor-disk"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()

	var s scans
	var publishes, writes []time.Duration
	for n := range longCarts * longCart {
		took, err := till.timed(ctx, 100, fmt.Sprintf(`{"product":"P%05d","quantity":"2"}`, n*7919%cartProducts))
		if err != nil {
			return err
		}
		s.add(n%longCart, took)
		if n%longCart == longCart-1 {
			paid, err := till.timed(ctx, 206, `{}`)
			if err != nil {
				return err
			}
			s.operations = append(s.operations, paid)
		}
		if n%3 > 0 {
			continue
		}
		published, err := bare.publish(ctx)
		if err != nil {
			return err
		}
		written, err := writeThrough(disk, bare.body)
		if err != nil {
			return err
		}
		publishes, writes = append(publishes, published), append(writes, written)
	}
	b.figures = append(b.figures, s.figures(publishes, writes)...)
	return nil
}

func (s *scans) add(line int, took time.Duration) {
	s.all, s.operations = append(s.all, took), append(s.operations, took)
	if line < cartEnd {
		s.first = append(s.first, took)
	}
	if line >= longCart-cartEnd {
		s.last = append(s.last, took)
	}
}

func (s *scans) figures(publishes, writes []time.Duration) []figure {
	for _, times := range [][]time.Duration{s.all, s.first, s.last, publishes, writes} {
		slices.Sort(times)
	}
	growth := quantile(s.last, 0.5) / quantile(s.first, 0.5)
	return []figure{
		{"operations over HTTP, durable", perSecond(s.operations), "/s", perSecond(publishes), "bare publish", "none", true},
		{"bare publish, SyncAlways", perSecond(publishes), "/s", perSecond(writes), "write and fsync", "none", true},
		{"scan to answer over HTTP, p50", quantile(s.all, 0.5), "us", quantile(publishes, 0.5), "bare publish", "none", true},
		{"scan to answer over HTTP, p99", quantile(s.all, 0.99), "us", quantile(publishes, 0.99), "bare publish", "none", true},
		{Name: "lines 901 to 1,000 of a cart, beside 1 to 100", Value: growth, Unit: "x", Goal: "at most 1.2x", Met: growth <= 1.2},
	}
}

func perSecond(times []time.Duration) float64 {
	var all time.Duration
	for _, d := range times {
		all += d
	}
	return float64(len(times)) / all.Seconds()
}

func writeThrough(f *os.File, body []byte) (time.Duration, error) {
	began := time.Now()
	if _, err := f.Write(body); err != nil {
		return 0, err
	}
	err := f.Sync()
	return time.Since(began), err
}

// httpTill is a client of a register's API.
type httpTill struct {
	base, token string
	client      *http.Client
}

// open signs the cashier on and opens a shift.
func (t *httpTill) open(ctx context.Context) error {
	body, err := t.do(ctx, 700, fmt.Sprintf(`{"staff":%q,"pin":%q}`, demoStaff, demoPIN))
	if err != nil {
		return err
	}
	var answer struct{ Token string }
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	t.token = answer.Token
	_, err = t.do(ctx, 1050, `{}`)
	return err
}

func (t *httpTill) timed(ctx context.Context, operation int, params string) (time.Duration, error) {
	began := time.Now()
	_, err := t.do(ctx, operation, params)
	return time.Since(began), err
}

func (t *httpTill) do(ctx context.Context, operation int, params string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s/v1/operations/%d", t.base, operation), strings.NewReader(params))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", ulid.Make().String())
	if t.token != "" {
		req.Header.Set("Authorization", "Bearer "+t.token)
	}
	res, err := t.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("operation %d: %s: %.300s", operation, res.Status, body)
	}
	return body, err
}
