package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// FaultKind says what goes wrong.
type FaultKind string

// What may go wrong with a request. Work that is done is done as one transaction, with
// triggers, as without a fault.
const (
	FaultStatus       FaultKind = "status"        // not worked on; answered with Status
	FaultDelay        FaultKind = "delay"         // works DelayMS later, even if nobody waits any more; of webhooks: sent later
	FaultResetBefore  FaultKind = "reset_before"  // connection reset, not worked on
	FaultResetAfter   FaultKind = "reset_after"   // worked on, then connection reset
	FaultTimeoutAfter FaultKind = "timeout_after" // worked on; the answer comes when the fault is cleared
	FaultLateCommit   FaultKind = "late_commit"   // connection reset, worked on DelayMS later
	FaultTruncate     FaultKind = "truncate"      // worked on, connection closed after half of the answer
	FaultGarbage      FaultKind = "garbage"       // worked on, answered with the right status and no JSON
	FaultSlowBody     FaultKind = "slow_body"     // worked on, the body trickles over DelayMS
)

// What may go wrong with a webhook, besides FaultDelay.
const (
	FaultDrop      FaultKind = "drop"      // never sent, not tried again
	FaultDuplicate FaultKind = "duplicate" // sent twice in a row
	FaultReorder   FaultKind = "reorder"   // sent after the next one, at the latest DelayMS (10 s without) later
	FaultCorrupt   FaultKind = "corrupt"   // half of the body, under the signature of the whole
)

var (
	requestFaults = []FaultKind{FaultStatus, FaultDelay, FaultResetBefore, FaultResetAfter, FaultTimeoutAfter,
		FaultLateCommit, FaultTruncate, FaultGarbage, FaultSlowBody}
	webhookFaults = []FaultKind{FaultDrop, FaultDuplicate, FaultReorder, FaultDelay, FaultCorrupt}
)

const (
	apiPath      = "/api/v1/"
	longestDelay = 24 * 60 * 60 * 1000 // ms; longer ones are most likely a wrong unit
	reorderLimit = 10 * time.Second
)

// Fault is one thing that goes wrong on purpose.
type Fault struct {
	Match FaultMatch `json:"match"`
	Kind  FaultKind  `json:"kind"`
	// Times is how often it applies; 0 is until it is cleared.
	Times int `json:"times"`
	// After is how many matching requests or webhooks are let through before.
	After int `json:"after"`
	// DelayMS is in milliseconds of the simulator's clock. FaultDelay and FaultSlowBody need
	// it, FaultLateCommit and FaultReorder may have it, the others may not.
	DelayMS int `json:"delay_ms,omitempty"`
	// Status is the status of FaultStatus, 200 to 599.
	Status int `json:"status,omitempty"`
	// Body replaces the body of FaultStatus (without it, Zammad's masked error) or FaultGarbage.
	Body string `json:"body,omitempty"`
	// HTML makes the answer of FaultStatus a page, as of a proxy.
	HTML bool `json:"html,omitempty"`
}

// FaultMatch selects what a fault applies to: requests by method and path, or webhooks by
// trigger and ticket. What is empty matches everything; * in Path and Trigger stands for any
// text. A FaultDelay without trigger and ticket is about requests.
type FaultMatch struct {
	Method  string `json:"method,omitempty"`
	Path    string `json:"path,omitempty"`    // from /api/v1/ on, without the query
	Trigger string `json:"trigger,omitempty"` // name
	Ticket  int    `json:"ticket,omitempty"`  // id
}

// FaultReport is a fault that is set and what it has done.
type FaultReport struct {
	ID string `json:"id"`
	Fault
	Passed  int `json:"passed"`  // let through because of After
	Applied int `json:"applied"` // includes those that are still held
	Left    int `json:"left"`    // how often it will still apply; -1 is until it is cleared
	Holding int `json:"holding"` // requests that wait at this moment
}

// parseFault reads a fault from JSON. The errors are sentences for the caller.
func parseFault(from io.Reader) (Fault, error) {
	var f Fault
	dec := json.NewDecoder(from)
	dec.DisallowUnknownFields()
	err := dec.Decode(&f)
	if wrong := new(json.UnmarshalTypeError); errors.As(err, &wrong) {
		return f, fmt.Errorf("%s cannot be a %s", wrong.Field, wrong.Value)
	}
	if err != nil && strings.HasPrefix(err.Error(), "json: unknown field ") {
		return f, fmt.Errorf("unknown key %s", strings.TrimPrefix(err.Error(), "json: unknown field "))
	}
	if err == nil {
		if _, err = dec.Token(); errors.Is(err, io.EOF) {
			return f, f.check()
		}
	}
	return f, errors.New("the body must be one JSON object that describes a fault")
}

// aboutWebhooks tells whether the fault is one of webhooks.
func (f Fault) aboutWebhooks() bool {
	if f.Kind == FaultDelay {
		return f.Match.Trigger != "" || f.Match.Ticket != 0
	}
	return slices.Contains(webhookFaults, f.Kind)
}

func (f Fault) check() error {
	known := append(slices.Clone(requestFaults), webhookFaults...)
	byRequest := f.Match.Method != "" || f.Match.Path != ""
	byWebhook := f.Match.Trigger != "" || f.Match.Ticket != 0
	switch {
	case !slices.Contains(known, f.Kind):
		return fmt.Errorf("kind must be one of %s for requests or %s for webhooks", names(requestFaults), names(webhookFaults))
	case byRequest && byWebhook:
		return errors.New("match either requests (method, path) or webhooks (trigger, ticket), not both")
	case byRequest && f.aboutWebhooks():
		return fmt.Errorf("%s is about webhooks: match them by trigger or ticket", f.Kind)
	case byWebhook && !f.aboutWebhooks():
		return fmt.Errorf("%s is about requests: match them by method or path", f.Kind)
	case f.Match.Path != "" && !strings.HasPrefix(f.Match.Path, apiPath) && !strings.HasPrefix(f.Match.Path, "*"):
		return fmt.Errorf("match.path must begin with %s or with *", apiPath)
	case f.Times < 0 || f.After < 0 || f.Match.Ticket < 0:
		return errors.New("times, after and match.ticket must not be negative")
	}
	return f.checkAnswer()
}

// checkAnswer checks the keys that only some kinds have.
func (f Fault) checkAnswer() error {
	needsDelay := f.Kind == FaultDelay || f.Kind == FaultSlowBody
	takesDelay := needsDelay || f.Kind == FaultLateCommit || f.Kind == FaultReorder
	switch {
	case f.DelayMS < 0 || f.DelayMS > longestDelay:
		return fmt.Errorf("delay_ms must be from 0 to %d", longestDelay)
	case needsDelay && f.DelayMS == 0:
		return fmt.Errorf("%s needs delay_ms", f.Kind)
	case !takesDelay && f.DelayMS != 0:
		return fmt.Errorf("%s has no delay_ms", f.Kind)
	case f.Kind == FaultStatus && (f.Status < 200 || f.Status > 599):
		return errors.New("status needs the key status, from 200 to 599")
	case f.Kind != FaultStatus && (f.Status != 0 || f.HTML):
		return fmt.Errorf("%s has no status and no html", f.Kind)
	case f.Body != "" && f.Kind != FaultStatus && f.Kind != FaultGarbage:
		return fmt.Errorf("%s has no body", f.Kind)
	}
	return nil
}

func names(kinds []FaultKind) string {
	out := make([]string, len(kinds))
	for i, k := range kinds {
		out[i] = string(k)
	}
	return strings.Join(out, ", ")
}

// fits tells whether text is what pattern describes, in which * is any text.
func fits(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	first, last := parts[0], parts[len(parts)-1]
	if len(parts) == 1 {
		return pattern == text
	}
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		_, rest, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = rest
	}
	return true
}

func (f Fault) hitsRequest(method, path string) bool {
	return !f.aboutWebhooks() && (f.Match.Method == "" || f.Match.Method == method) &&
		(f.Match.Path == "" || fits(f.Match.Path, path))
}

// hitsWebhook asks for a delivery. One that was put off already is not put off again.
func (f Fault) hitsWebhook(d *delivery) bool {
	return f.aboutWebhooks() && (f.Match.Ticket == 0 || f.Match.Ticket == d.ticket) &&
		(f.Match.Trigger == "" || fits(f.Match.Trigger, d.name)) &&
		!(d.putOff && (f.Kind == FaultDelay || f.Kind == FaultReorder))
}

func (f Fault) delay() time.Duration { return time.Duration(f.DelayMS) * time.Millisecond }

// switchboard holds the faults that are set. It has a lock of its own: whoever is held here
// does not hold the database.
type switchboard struct {
	mu      sync.Mutex
	last    int // highest id given out
	set     []*setFault
	owed    int           // delayed requests and late commits whose work is still to come
	stopped chan struct{} // closed from the end of a run to the next one
}

type setFault struct {
	FaultReport
	cleared chan struct{}
}

func newSwitchboard() *switchboard { return &switchboard{stopped: make(chan struct{})} }

func (b *switchboard) add(f Fault) FaultReport {
	b.mu.Lock()
	defer b.mu.Unlock()
	f.Match.Method = strings.ToUpper(f.Match.Method)
	b.last++
	left := f.Times
	if left == 0 {
		left = -1
	}
	set := &setFault{FaultReport: FaultReport{ID: strconv.Itoa(b.last), Fault: f, Left: left}, cleared: make(chan struct{})}
	b.set = append(b.set, set)
	return set.FaultReport
}

// clear removes the fault with the id, or all for "", and lets go what they hold.
func (b *switchboard) clear(id string) (removed int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.set = slices.DeleteFunc(b.set, func(f *setFault) bool {
		if id != "" && f.ID != id {
			return false
		}
		close(f.cleared)
		removed++
		return true
	})
	return removed
}

func (b *switchboard) list() []FaultReport {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]FaultReport, len(b.set))
	for i, f := range b.set {
		out[i] = f.FaultReport
	}
	return out
}

// take returns the first fault that is due for something, or nil. Every matching fault before
// it that is not due yet counts it as let through.
func (b *switchboard) take(hits func(Fault) bool) *setFault {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.set {
		if f.Left == 0 || !hits(f.Fault) {
			continue
		}
		if f.Passed < f.After {
			f.Passed++
			continue
		}
		f.Applied++
		if f.Left > 0 {
			f.Left--
		}
		return f
	}
	return nil
}

// hold waits for over or gone (nil: neither comes), until the fault is cleared or the
// simulator stops.
func (b *switchboard) hold(f *setFault, over <-chan time.Time, gone <-chan struct{}) {
	b.mu.Lock()
	f.Holding++
	stopped := b.stopped
	b.mu.Unlock()
	select {
	case <-over:
	case <-gone:
	case <-f.cleared:
	case <-stopped:
	}
	b.mu.Lock()
	f.Holding--
	b.mu.Unlock()
}

// owe counts work that is still to come although nobody may wait for it any more.
func (b *switchboard) owe(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.owed += n
}

// debt returns how much of such work there is.
func (b *switchboard) debt() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.owed
}

// start makes faults hold again after a stop.
func (b *switchboard) start() {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.stopped:
		b.stopped = make(chan struct{})
	default:
	}
}

// stop lets go all that is held, and what would be held from now on.
func (b *switchboard) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.stopped:
	default:
		close(b.stopped)
	}
}
