package web

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/posnode/posnode/events"
	"github.com/posnode/posnode/register"
)

// metrics are the metrics of one register. They have a registry of their own, because one process
// can have several registers.
type metrics struct {
	operations *prometheus.CounterVec
	seconds    prometheus.Histogram
	handler    http.Handler
}

func newMetrics(r *register.Register) *metrics {
	m := &metrics{
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "posnode_operations_total", Help: "Operations by id and outcome: done, or the code of what was refused.",
		}, []string{"operation", "outcome"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "posnode_operation_seconds", Help: "Time from request to answer of an operation that was done.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 16), // 0.1 ms to 3.3 s
		}),
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.operations, m.seconds, &standing{r})
	m.handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return m
}

// observe counts one operation. The outcomes are a closed set of codes, so that the number of
// series is bounded.
func (m *metrics) observe(operation int, outcome string, took time.Duration) {
	m.operations.WithLabelValues(strconv.Itoa(operation), outcome).Inc()
	if outcome == "done" {
		m.seconds.Observe(took.Seconds())
	}
}

// figure returns 1 for true and 0 for false.
func figure(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// standing collects the metrics of the register at each request.
type standing struct{ register *register.Register }

var (
	entriesMetric = prometheus.NewDesc("posnode_journal_entries", "Entries in the journal of the epoch.", nil, nil)
	onlineMetric  = prometheus.NewDesc("posnode_online", "1 in online mode, 0 in offline mode.", nil, nil)
	linkMetric    = prometheus.NewDesc("posnode_link_up", "1 while the link to head office is up.", nil, nil)
	unsentMetric  = prometheus.NewDesc("posnode_unsent_entries", "Entries that head office does not have yet.", nil, nil)
	offlineMetric = prometheus.NewDesc("posnode_offline_database_sequence", "Last entry in the offline database.", nil, nil)
	faultsMetric  = prometheus.NewDesc("posnode_journal_faults", "Journals of earlier epochs that are missing, shorter than they were, or cannot be read.", nil, nil)
	storageMetric = prometheus.NewDesc("posnode_storage_failed", "1 while the disk does not take what is written, and nothing is recorded.", nil, nil)
	damagedMetric = prometheus.NewDesc("posnode_journal_damaged", "1 once the journal was found damaged.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (s *standing) Describe(c chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{entriesMetric, onlineMetric, linkMetric, unsentMetric, offlineMetric, damagedMetric, faultsMetric, storageMetric} {
		c <- d
	}
}

// Collect implements [prometheus.Collector].
func (s *standing) Collect(c chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	status, err := s.register.Status(ctx)
	if err != nil {
		c <- prometheus.NewInvalidMetric(entriesMetric, err)
		return
	}
	for _, m := range []struct {
		desc  *prometheus.Desc
		value float64
	}{
		{entriesMetric, float64(status.Head.Sequence)}, {onlineMetric, figure(status.Mode == events.Online)}, {linkMetric, figure(status.HQ.LinkUp)},
		{unsentMetric, float64(status.HQ.Unsent)}, {offlineMetric, float64(status.Offline.Sequence)}, {damagedMetric, figure(status.Damage != nil)},
		{faultsMetric, float64(len(status.Faults))}, {storageMetric, figure(status.Storage != nil)},
	} {
		c <- prometheus.MustNewConstMetric(m.desc, prometheus.GaugeValue, m.value)
	}
}
