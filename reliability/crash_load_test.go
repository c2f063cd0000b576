package reliability

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"deskbridge/zammad"
	"deskbridge/zammad/simulator"
)

// load is what devices and an agent do while things break, and what they were
// promised.
type load struct {
	h       *house
	devices []*device
	agent   *counselor
	working sync.WaitGroup
	stop    context.CancelFunc
	acked   atomic.Int64
	refused atomic.Int64 // answers 503
	wrong   chan error   // answers that no client should get
}

// device sends one message after the other, as a person does; half of them
// with a key, and those again until they are answered with 200.
type device struct {
	l    *load
	id   string
	rng  *rand.Rand
	sent []letter
}

// letter is one message of a device.
type letter struct {
	text  string
	key   string // empty: sent once, whatever becomes of it
	acked bool
}

// How long a device rests between two messages or tries.
const (
	hasty = 15 * time.Millisecond
	calm  = 150 * time.Millisecond
)

// begin lets devices and an agent work until finish.
func (h *house) begin(rng *rand.Rand, devices int, pace time.Duration) *load {
	h.t.Helper()
	ctx, stop := context.WithCancel(h.t.Context())
	l := &load{h: h, stop: stop, wrong: make(chan error, 100), agent: &counselor{said: make(map[int][]string)}}
	for n := range devices {
		d := &device{l: l, id: fmt.Sprintf("device-%d", n), rng: rand.New(rand.NewPCG(rng.Uint64(), 2))}
		l.devices = append(l.devices, d)
		l.working.Go(func() { d.work(ctx, pace) })
	}
	turns := rand.New(rand.NewPCG(rng.Uint64(), 3))
	l.working.Go(func() { l.agent.work(ctx, h, turns, l.report) })
	h.t.Cleanup(func() { stop(); l.working.Wait() })
	return l
}

// report notes what should not be.
func (l *load) report(err error) {
	select {
	case l.wrong <- err:
	default:
	}
}

// progress waits until so many more messages have been acknowledged.
func (l *load) progress(n int64) {
	l.h.t.Helper()
	goal := l.acked.Load() + n
	await(l.h.t, "messages go on being accepted", func() error {
		if now := l.acked.Load(); now < goal {
			return fmt.Errorf("%d messages to go", goal-now)
		}
		return l.fault()
	})
}

// fault gives what a client was answered that it should not be.
func (l *load) fault() error {
	select {
	case err := <-l.wrong:
		return &hopeless{err}
	default:
		return nil
	}
}

func (d *device) work(ctx context.Context, pace time.Duration) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ctx.Err() == nil; n++ {
		m := letter{text: fmt.Sprintf("%s says %d", d.id, n)}
		if d.rng.IntN(2) == 0 {
			m.key = "key-" + strconv.Itoa(n)
		}
		for {
			m.acked = d.post(m)
			if m.acked || m.key == "" || ctx.Err() != nil {
				break
			}
			<-tick.C
		}
		if m.acked {
			d.l.acked.Add(1)
		}
		d.sent = append(d.sent, m)
		<-tick.C
	}
}

// post sends a message once and says whether it was acknowledged. A request
// that has begun is not broken off by the end of the load.
func (d *device) post(m letter) bool {
	body, kind := m.form()
	request, err := http.NewRequest(http.MethodPost, d.address(), strings.NewReader(body))
	if err != nil {
		d.l.report(err)
		return false
	}
	request.Header.Set("Content-Type", kind)
	if m.key != "" {
		request.Header.Set("Idempotency-Key", m.key)
	}
	answer, err := client.Do(request)
	if err != nil {
		return false // no answer: nobody knows
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
		return true
	case http.StatusServiceUnavailable:
		d.l.refused.Add(1)
		var body struct{ Code string }
		if err := json.NewDecoder(answer.Body).Decode(&body); err == nil && (body.Code == "" || answer.Header.Get("Retry-After") == "") {
			d.l.report(fmt.Errorf("a 503 with code %q and Retry-After %q", body.Code, answer.Header.Get("Retry-After")))
		}
	default:
		d.l.report(fmt.Errorf("%s was answered with %s", m.text, answer.Status))
	}
	return false
}

func (d *device) address() string {
	return "http://" + d.l.h.front.address + "/api/v3/" + region + "/de/chat/" + d.id + "/"
}

// line is one message on a device.
type line struct {
	ID        int64
	Text      string
	Author    string
	Status    string
	Retracted bool
	CreatedAt time.Time `json:"created_at"`
}

// read gives the history in the order in which clients show it.
func (d *device) read(ctx context.Context) ([]line, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.address(), nil)
	if err != nil {
		return nil, err
	}
	var state struct{ Messages []line }
	if err := fetch(request, http.StatusOK, &state); err != nil {
		return nil, err
	}
	slices.SortFunc(state.Messages, func(a, b line) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
	})
	return state.Messages, nil
}

// counselor answers tickets, sometimes for colleagues only.
type counselor struct {
	answers int
	said    map[int][]string // public answers by ticket, in their order
}

func (c *counselor) work(ctx context.Context, h *house, rng *rand.Rand, report func(error)) {
	tick := time.NewTicker(8 * hasty)
	defer tick.Stop()
	for ; ; <-tick.C {
		if ctx.Err() != nil {
			return
		}
		tickets, err := h.agent.Tickets.Search(ctx, zammad.Search{
			Conditions: zammad.Conditions{"ticket.id": zammad.Condition{Operator: "is not", Value: []string{"1"}}}, SortBy: "id", Limit: 200,
		})
		if err != nil || len(tickets) == 0 {
			continue
		}
		ticket := tickets[rng.IntN(len(tickets))].ID
		c.answers++
		text, internal := fmt.Sprintf("answer %d", c.answers), c.answers%5 == 0
		if internal {
			text = "secret " + text
		}
		// Begun answers are finished, so that the agent knows what was said.
		if _, err := h.agent.Articles.Create(context.WithoutCancel(ctx), zammad.NewArticle{TicketID: ticket, Type: zammad.TypeNote, Body: text, Internal: &internal}); err != nil {
			report(fmt.Errorf("the agent could not answer: %w", err))
			return
		}
		if !internal {
			c.said[int(ticket)] = append(c.said[int(ticket)], text)
		}
	}
}

// finish ends the load, waits until everything has come to rest, and compares
// what was promised with what is. Instances must run.
func (l *load) finish() tally {
	l.h.t.Helper()
	l.stop()
	l.working.Wait()
	if err := l.fault(); err != nil {
		l.h.t.Error(err)
	}
	var sum tally
	await(l.h.t, "all is where it belongs", func() error {
		if err := l.resting(); err != nil {
			return err
		}
		var err error
		sum, err = l.compare()
		return err
	})
	if err := l.files(); err != nil {
		l.h.t.Error(err)
	}
	return sum
}

// resting says whether nothing is on its way any more.
func (l *load) resting() error {
	ctx := l.h.t.Context()
	status, report, err := l.h.ready(ctx, l.h.front.address)
	if err != nil {
		return err
	}
	if queued := report.Checks["outbox"].Queued; status != http.StatusOK || queued > 0 {
		return fmt.Errorf("/readyz says %d, %d messages wait", status, queued)
	}
	return nil
}

// tally is what a comparison found.
type tally struct {
	acked, unanswered, arrived, answers, tickets int
	lost, doubled, disorder                      int
}

func (s tally) String() string {
	return fmt.Sprintf("%d messages acknowledged, %d without an answer (%d of them arrived), %d answers of the agent, %d tickets; lost %d, doubled %d, out of order %d",
		s.acked, s.unanswered, s.arrived, s.answers, s.tickets, s.lost, s.doubled, s.disorder)
}

// compare holds every promise against the ground truth. What is lost may still
// come, so it is an error that waiting may cure; what is doubled, out of order
// or shown to the wrong person is not.
func (l *load) compare() (tally, error) {
	var sum tally
	truth, err := l.h.truth(l.h.t.Context())
	if err != nil {
		return sum, err
	}
	if truth.Pending > 0 {
		return sum, fmt.Errorf("Zammad has %d deliveries to make", truth.Pending)
	}
	var all []error
	for _, d := range l.devices {
		ticket, inZammad := d.written(truth)
		if ticket < 0 {
			return sum, &hopeless{fmt.Errorf("%s has more than one ticket", d.id)}
		}
		if ticket > 0 {
			sum.tickets++
		}
		sum.answers += len(l.agent.said[ticket])
		all = append(all, d.judge(&sum, "in Zammad", inZammad))
		shown, answers, err := d.shown(l.h.t.Context())
		if err != nil {
			return sum, fmt.Errorf("%s: %w", d.id, err)
		}
		var again tally
		all = append(all, d.judge(&again, "on the device", shown))
		if !slices.Equal(shown, inZammad) {
			all = append(all, fmt.Errorf("%s shows %q, Zammad has %q", d.id, difference(shown, inZammad), difference(inZammad, shown)))
		}
		if said := l.agent.said[ticket]; !slices.Equal(answers, said) {
			all = append(all, fmt.Errorf("%s shows the answers %q, the agent said %q", d.id, answers, said))
		}
	}
	err = errors.Join(all...)
	if err != nil && (sum.doubled > 0 || sum.disorder > 0) {
		err = &hopeless{err}
	}
	return sum, err
}

// written gives the device's ticket, and its messages in it in their order. 0
// is no ticket, -1 more than one.
func (d *device) written(truth simulator.State) (ticket int, texts []string) {
	for _, a := range truth.Articles {
		if !strings.HasPrefix(a.Body, d.id+" says ") {
			continue
		}
		if ticket != 0 && ticket != a.Ticket {
			return -1, nil
		}
		ticket = a.Ticket
		texts = append(texts, a.Body)
	}
	return ticket, texts
}

// shown gives the user's and the agent's messages on the device.
func (d *device) shown(ctx context.Context) (own, answers []string, err error) {
	history, err := d.read(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range history {
		switch {
		case strings.Contains(m.Text, "secret"):
			return nil, nil, &hopeless{fmt.Errorf("an internal note is shown: %q", m.Text)}
		case m.Author == "agent":
			answers = append(answers, m.Text)
		case m.Status != "sent" && m.Status != "seen":
			return nil, nil, fmt.Errorf("%q is %s", m.Text, m.Status)
		default:
			own = append(own, m.Text)
		}
	}
	return own, answers, nil
}

// judge compares what a device sent with what arrived somewhere.
func (d *device) judge(sum *tally, where string, texts []string) error {
	count := make(map[string]int)
	for _, text := range texts {
		count[text]++
	}
	var all []error
	promised := make(map[string]bool)
	var order []string // of what was acknowledged; a sender who did not wait for the answer chose no order
	for _, m := range d.sent {
		n := count[m.text]
		delete(count, m.text)
		if m.acked {
			promised[m.text] = true
			order = append(order, m.text)
		}
		switch {
		case n > 1:
			sum.doubled++
			all = append(all, fmt.Errorf("%q is %d times %s", m.text, n, where))
		case m.acked && n == 0:
			sum.lost++
			all = append(all, fmt.Errorf("%q was acknowledged and is not %s", m.text, where))
		}
		if m.acked {
			sum.acked++
		} else {
			sum.unanswered++
			sum.arrived += min(n, 1)
		}
	}
	for text := range count {
		all = append(all, &hopeless{fmt.Errorf("%q is %s, and nobody sent it", text, where)})
	}
	texts = slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return !promised[text] })
	if len(all) == 0 && !slices.Equal(order, texts) {
		sum.disorder++
		all = append(all, fmt.Errorf("%s: %q %s should be %q", d.id, difference(texts, order), where, difference(order, texts)))
	}
	return errors.Join(all...)
}

// difference gives the part of a that begins where it differs from b.
func difference(a, b []string) []string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return a[i:min(len(a), i+5)]
}

// accounts writes the result of a test where the record is taken from.
func accounts(t *testing.T, what string, sum tally) {
	t.Helper()
	t.Logf("%s: %s", what, sum)
}
