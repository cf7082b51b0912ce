package web

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/hq"
)

// hqMetrics returns a handler that serves the metrics of head office and of every register.
func hqMetrics(h *hq.HQ) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(&hqStanding{h})
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// metrics serves the metrics to clients with the token only, because a proxy may make this API
// public.
func (a *hqAPI) metrics(serve http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		if !a.knows(token(req.Header.Get("Authorization"), req.Header.Get("Cookie"))) {
			writeProblem(w, a.unknown())
			return
		}
		serve.ServeHTTP(w, req)
	}
}

// hqStanding collects the metrics of head office at each request.
type hqStanding struct{ hq *hq.HQ }

func ofRegister(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("posnode_hq_register_"+name, help, []string{"register"}, nil)
}

// Ages are measured with head office's clock, because the clock of the client may differ.
var (
	hqAnnounced   = ofRegister("announced_entries", "Entries of the newest epoch that the register says it has, by its last announcement to this instance.")
	hqReceived    = ofRegister("received_entries", "Entries of the newest epoch that are here, counted once.")
	hqVerified    = ofRegister("verified_entries", "Entries of the newest epoch that are verified, without a gap from the first.")
	hqMissing     = ofRegister("missing_entries", "Entries of any epoch that are announced or must be, and are not here: of the first ranges, as the status names them.")
	hqUnverified  = ofRegister("unverified_age_seconds", "How long something that is announced has not been verified, from when that was first asked for; 0 where all is.")
	hqContact     = ofRegister("last_contact_age_seconds", "Time since the register was last heard of; absent where it never was.")
	hqSilent      = ofRegister("silent", "1 while the register does not announce itself.")
	hqOnline      = ofRegister("online", "1 in online mode, 0 in offline mode, by the newest entry that says so; absent where none does.")
	hqFrozen      = ofRegister("frozen", "1 where the newest epoch has two histories: the register sells no more in it.")
	hqOpenOf      = ofRegister("open_findings", "Open findings about the register's journals.")
	hqClock       = ofRegister("clock_difference_seconds", "The register's clock less head office's, as last announced; absent where it is not.")
	hqReference   = ofRegister("reference_age_seconds", "Time since the register last knew its reference data to be head office's; absent where that is not known.")
	hqCertified   = ofRegister("certified_timestamp_seconds", "The last business date that is certified, at midnight UTC; absent where none is.")
	hqOpen        = prometheus.NewDesc("posnode_hq_open_findings", "Open findings by kind.", []string{"kind"}, nil)
	hqExceptions  = prometheus.NewDesc("posnode_hq_exceptions_total", "What registers recorded that does not fit together.", nil, nil)
	hqQuarantined = prometheus.NewDesc("posnode_hq_quarantined_journals", "Journals that are over before their time, since the beginning.", nil, nil)
	hqAnswering   = prometheus.NewDesc("posnode_hq_answering", "1 once this instance answers registers, when all that was stored at its start has been read.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (s *hqStanding) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		hqAnnounced, hqReceived, hqVerified, hqMissing, hqUnverified, hqContact, hqSilent, hqOnline, hqFrozen, hqOpenOf, hqClock, hqReference, hqCertified,
		hqOpen, hqExceptions, hqQuarantined, hqAnswering,
	} {
		c <- d
	}
}

// Collect implements [prometheus.Collector].
func (s *hqStanding) Collect(c chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	all, err := s.hq.Registers(ctx)
	if err != nil {
		c <- prometheus.NewInvalidMetric(hqAnnounced, err)
		return
	}
	totals, err := s.hq.Totals(ctx)
	if err != nil {
		c <- prometheus.NewInvalidMetric(hqOpen, err)
		return
	}
	for _, kind := range hq.Kinds {
		c <- prometheus.MustNewConstMetric(hqOpen, prometheus.GaugeValue, float64(totals.Open[kind]), kind)
	}
	c <- prometheus.MustNewConstMetric(hqExceptions, prometheus.CounterValue, float64(totals.Exceptions))
	c <- prometheus.MustNewConstMetric(hqQuarantined, prometheus.GaugeValue, float64(totals.Quarantined))
	c <- prometheus.MustNewConstMetric(hqAnswering, prometheus.GaugeValue, figure(totals.Answering))
	for _, r := range all {
		collectRegister(c, r, totals.At)
	}
}

// collectRegister collects the metrics of one register.
func collectRegister(c chan<- prometheus.Metric, r hq.RegisterStatus, now time.Time) {
	gauge := func(desc *prometheus.Desc, value float64) {
		c <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, r.Register)
	}
	age := func(desc *prometheus.Desc, since time.Time) {
		if !since.IsZero() {
			gauge(desc, now.Sub(since).Seconds())
		}
	}
	missing := uint64(0)
	for _, m := range r.Missing {
		missing += m.Len()
	}
	gauge(hqAnnounced, float64(r.Announced))
	gauge(hqReceived, float64(r.Received))
	gauge(hqVerified, float64(r.Verified))
	gauge(hqMissing, float64(missing))
	gauge(hqSilent, figure(r.Silent))
	gauge(hqFrozen, figure(r.Frozen != nil))
	gauge(hqOpenOf, float64(r.Open))
	if r.UnverifiedSince.IsZero() {
		gauge(hqUnverified, 0)
	}
	age(hqUnverified, r.UnverifiedSince)
	age(hqContact, r.LastContact)
	age(hqReference, r.Reference)
	if r.Mode != "" {
		gauge(hqOnline, figure(r.Mode == events.Online))
	}
	if r.Version != "" {
		gauge(hqClock, r.ClockDifference.Seconds())
	}
	if day, err := time.Parse(time.DateOnly, r.Certified); err == nil {
		gauge(hqCertified, float64(day.Unix()))
	}
}
