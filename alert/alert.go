// Package alert tells the staff of a region that somebody waits for an answer
// for longer than the region wants: by e-mail, by a webhook, by ntfy. Once, and
// again only after a person has answered and somebody waits anew.
//
// What is promised is at least once: a notice is stored before it is sent, and
// what became of it is stored after each receiver has taken it. A crash between
// the two repeats it at one receiver, since a notice that never comes does more
// harm than one that comes twice; the key by which receivers know it again stays
// the same (Message-ID, X-Deskbridge-Id).
//
// A notice holds the region's name, for how long somebody waits and where the
// ticket is; never what was written, nor anything of the device.
package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"deskbridge/bridge"
)

const (
	// longest is the age from which a wait makes no notice any more: it is in
	// the desk's own lists, or nobody wants to hear of it.
	longest = 30 * 24 * time.Hour
	// newAtOnce are the notices that one run makes for one region. The next run
	// goes on: a Zammad that was down for hours must not flood a mailbox.
	newAtOnce = 20
	// workers is how many notices are on their way at once.
	workers = 8
	// PostTimeout bounds one try at one receiver, and claimTime the tries at all
	// receivers of a notice; who holds a claim for longer has crashed.
	PostTimeout = 15 * time.Second
	claimTime   = 5 * time.Minute
	// runTime is how long a run begins more tries; the next one goes on.
	runTime = 50 * time.Second
	// firstPause and longestPause bound the time between two tries, which
	// doubles.
	//
	// Failure policy: after giveUp a receiver that never took the notice is
	// left alone; the log and the audit say so.
	firstPause   = time.Minute
	longestPause = 30 * time.Minute
	giveUp       = 24 * time.Hour
)

// ErrNoMail says that the installation has no mail server (smtp.host).
var ErrNoMail = errors.New("there is no mail server in the configuration (smtp.host)")

// Deps is what Alerts works with; all are required.
type Deps struct {
	Store   bridge.AlertStore
	Regions *bridge.Regions
	// TicketURL gives the address of a ticket for agents; "" if there is none.
	TicketURL func(*bridge.Region, bridge.TicketID) string
	Mail      Mail
	// Client posts to webhooks and ntfy, which people of the regions choose: it
	// must guard where addresses lead, and follow no redirect.
	Client *http.Client
	Log    *slog.Logger
	Now    func() time.Time
}

// Alerts finds who waits for too long and tells the staff.
type Alerts struct{ Deps }

// New puts Alerts together.
func New(deps Deps) *Alerts { return &Alerts{deps} }

// Run is the job: it makes notices of new waits and sends what is due. Counts
// are "noticed", "sent" (to receivers) and "failed" (tries). A dry run counts
// what it would notice. Several may run at once.
func (a *Alerts) Run(ctx context.Context, dryRun bool) (map[string]int, error) {
	counts := make(map[string]int)
	var failed error
	for _, region := range a.Regions.All() {
		n, err := a.look(ctx, region, dryRun)
		counts["noticed"] += n
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("region %s: %w", region.Slug, err))
		}
	}
	if dryRun {
		return counts, failed
	}
	return counts, errors.Join(failed, a.deliver(ctx, counts))
}

// look makes notices of a region's waits that have become too long. Who has
// waited longest comes first, so the first that is not too long ends it.
func (a *Alerts) look(ctx context.Context, r *bridge.Region, dryRun bool) (noticed int, err error) {
	set, now := r.Settings.Alert, a.Now()
	if set.Minutes <= 0 || !r.Enabled {
		return 0, nil
	}
	if away, _ := r.Settings.Reception.Away(now); away {
		return 0, nil
	}
	limit := time.Duration(set.Minutes) * time.Minute
	waits, err := a.Store.Waits(ctx, r.ID, now.Add(-longest), now.Add(-limit), newAtOnce)
	if err != nil {
		return 0, err
	}
	for _, w := range waits {
		if r.Settings.Reception.OpenTime(w.Since, now, limit) < limit {
			break
		}
		added := true
		if !dryRun {
			added, err = a.Store.AddAlert(ctx, bridge.Alert{
				Region: r.ID, Chat: w.Chat, Since: w.Since, Key: uuid.NewString(), CreatedAt: now, Channels: channels(set),
			})
		}
		if err != nil {
			return noticed, err
		}
		if added {
			noticed++
		}
	}
	return noticed, nil
}

// channels are the receivers that settings name.
func channels(set bridge.AlertSettings) []bridge.AlertChannel {
	var all []bridge.AlertChannel
	for _, address := range set.Emails {
		all = append(all, bridge.AlertChannel{Kind: bridge.AlertEmail, To: address, State: bridge.AlertPending})
	}
	if set.WebhookURL != "" {
		all = append(all, bridge.AlertChannel{Kind: bridge.AlertWebhook, State: bridge.AlertPending})
	}
	if set.NtfyURL != "" {
		all = append(all, bridge.AlertChannel{Kind: bridge.AlertNtfy, State: bridge.AlertPending})
	}
	return all
}

// deliver sends what is due, some at a time, so that a receiver that hangs holds
// up its own notice.
func (a *Alerts) deliver(ctx context.Context, counts map[string]int) error {
	var (
		mu     sync.Mutex
		failed error
	)
	for start := a.Now(); a.Now().Sub(start) < runTime && ctx.Err() == nil; {
		now := a.Now()
		due, err := a.Store.ClaimAlerts(ctx, now, now.Add(claimTime), workers)
		if err != nil || len(due) == 0 {
			return errors.Join(failed, err)
		}
		var running sync.WaitGroup
		for _, alert := range due {
			running.Go(func() {
				sent, missed, err := a.send(ctx, alert)
				mu.Lock()
				defer mu.Unlock()
				counts["sent"] += sent
				counts["failed"] += missed
				if err != nil && !errors.Is(err, bridge.ErrClaimLost) {
					failed = errors.Join(failed, fmt.Errorf("alert %d: %w", alert.ID, err))
				}
			})
		}
		running.Wait()
	}
	return failed
}

// send tries each receiver of a notice that has not taken it. The error is the
// store's; the claim then runs out, and the notice is tried again.
func (a *Alerts) send(ctx context.Context, alert bridge.Alert) (sent, missed int, err error) {
	region, known := a.Regions.ByID(alert.Region)
	for i := range alert.Channels {
		c := &alert.Channels[i]
		if c.State != bridge.AlertPending {
			continue
		}
		if !known || !alert.Waiting || !hasReceiver(region.Settings.Alert, *c) {
			c.State = bridge.AlertDropped
			continue
		}
		failure := a.try(ctx, region, c, a.notice(region, &alert), i)
		if ctx.Err() != nil && failure != nil {
			return sent, missed, ctx.Err() // it was we who hung up
		}
		c.At = a.Now()
		if failure == nil {
			c.State, c.Fault, c.Reason = bridge.AlertSent, "", ""
			sent++
			if err := a.Store.KeepAlert(ctx, alert); err != nil {
				return sent, missed, err
			}
			continue
		}
		missed++
		tell(c, failure)
		if c.At.Sub(alert.CreatedAt) >= giveUp {
			c.State = bridge.AlertFailed
			a.Log.WarnContext(ctx, "a notice that somebody waits was given up", "region", region.Slug, "alert", alert.ID, "channel", c.Kind) // why stands in the audit: it may name an address
		}
	}
	var due time.Time
	if slices.ContainsFunc(alert.Channels, func(c bridge.AlertChannel) bool { return c.State == bridge.AlertPending }) {
		due = a.Now().Add(pause(alert.Attempts))
		alert.Attempts++
	}
	return sent, missed, a.Store.FinishAlert(ctx, alert, due)
}

// pause is the time after so many failed rounds.
func pause(attempts int) time.Duration {
	return min(firstPause<<min(attempts, 10), longestPause)
}

// hasReceiver says whether settings still name a receiver.
func hasReceiver(set bridge.AlertSettings, c bridge.AlertChannel) bool {
	return set.Minutes > 0 && slices.ContainsFunc(channels(set), func(wanted bridge.AlertChannel) bool {
		return wanted.Kind == c.Kind && wanted.To == c.To
	})
}

// try sends a notice to one receiver; place is that of the channel.
func (a *Alerts) try(ctx context.Context, r *bridge.Region, c *bridge.AlertChannel, n notice, place int) error {
	ctx, cancel := context.WithTimeout(ctx, PostTimeout)
	defer cancel()
	switch c.Kind {
	case bridge.AlertEmail:
		return a.Mail.send(ctx, c.To, n, place, a.Now())
	case bridge.AlertWebhook:
		return a.postWebhook(ctx, r, n)
	case bridge.AlertNtfy:
		return a.postNtfy(ctx, r, n)
	default:
		return fmt.Errorf("there is no way named %q", c.Kind)
	}
}

// Test sends a notice to all receivers of a region's settings that says that it
// is a test, and gives what became of it: nothing is stored, and nothing tried
// again. The region need not be stored like this.
func (a *Alerts) Test(ctx context.Context, r *bridge.Region) []bridge.AlertChannel {
	all, n := channels(r.Settings.Alert), a.test(r, uuid.NewString())
	var running sync.WaitGroup
	for i := range all {
		running.Go(func() {
			c := &all[i]
			err := a.try(ctx, r, c, n, i)
			if c.At, c.State = a.Now(), bridge.AlertSent; err != nil {
				c.State = bridge.AlertFailed
				tell(c, err)
			}
		})
	}
	running.Wait()
	return all
}
