package reliability_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing/synctest"
	"time"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

// step is one thing that happens. Its numbers are drawn beforehand, and choose
// among what there is when its turn comes: so leaving out other steps leaves
// this one what it is.
type step struct {
	do    string
	a, b  int
	pause time.Duration // after it
}

// String gives a step as the story of a seed tells it.
func (s step) String() string { return fmt.Sprintf("%s(%d,%d) and %v", s.do, s.a, s.b, s.pause) }

// moves says what can happen, and how often compared to the rest.
var moves = []struct {
	name   string
	weight int
	do     func(w *world, s step)
}{
	{"send", 30, (*world).stepSend},
	{"answer", 14, (*world).stepAnswer},
	{"show or hide", 6, (*world).stepVisibility},
	{"delete an answer", 3, (*world).stepDeleteAnswer},
	{"state", 6, (*world).stepState},
	{"stranger", 2, (*world).stepStranger},
	{"merge", 4, (*world).stepMerge},
	{"move", 5, (*world).stepMove},
	{"delete a ticket", 2, (*world).stepDeleteTicket},
	{"rights", 4, (*world).stepRights},
	{"call fault", 14, (*world).stepCallFault},
	{"hook fault", 7, (*world).stepHookFault},
	{"mend the line", 3, (*world).stepMend},
	{"crash", 6, (*world).stepCrash},
	{"start", 4, (*world).stepStart},
	{"deploy", 2, (*world).stepDeploy},
	{"freeze", 2, (*world).stepFreeze},
	{"clock", 4, (*world).stepClock},
	{"disk", 3, (*world).stepDisk},
	{"poll", 6, (*world).stepPoll},
	{"rule", 1, (*world).stepRule},
	{"erase", 3, (*world).stepErase},
}

// draw makes the plan of a seed. Each seed leaves some kinds of steps out, so
// that the rest meets more often.
func draw(seed int64) []step {
	r := rand.New(rand.NewPCG(uint64(seed), 20))
	var names []string
	for _, m := range moves {
		if m.name != "send" && r.IntN(3) == 0 {
			continue
		}
		for range m.weight {
			names = append(names, m.name)
		}
	}
	pauses := []time.Duration{0, 0, 0, time.Millisecond, 20 * time.Millisecond, 300 * time.Millisecond, time.Second, 3 * time.Second, 12 * time.Second, 40 * time.Second}
	next := func(name string) step {
		return step{name, r.IntN(1 << 20), r.IntN(1 << 20), pauses[r.IntN(len(pauses))]}
	}
	plan := []step{next("send"), next("send")}
	for range 10 + r.IntN(40) {
		plan = append(plan, next(names[r.IntN(len(names))]))
	}
	return plan
}

// play lets a plan happen.
func (w *world) play(plan []step) {
	for _, s := range plan {
		w.discover()
		w.bury()
		w.note("%v", s)
		for _, m := range moves {
			if m.name == s.do {
				m.do(w, s)
			}
		}
		if s.pause > 0 {
			<-time.After(s.pause)
		}
	}
}

// tell lets a story happen, ends all faults, lets the clock run on, and checks.
func (w *world) tell(story func(w *world)) error {
	background, stop := context.WithCancel(context.Background())
	worker := make(chan error, 1)
	go func() { worker <- w.sim.Run(background) }()
	defer func() { stop(); <-worker }()
	for _, p := range w.places {
		for n := range 2 { // the same ids in both regions
			w.phones = append(w.phones, &phone{
				name: fmt.Sprintf("%s-%d", p.slug, n), place: p, hash: bridge.DeviceHash{byte(n + 1)}, memory: newMemory(),
			})
		}
	}
	if _, err := w.boot(); err != nil {
		return err
	}
	story(w)
	if err := w.settle(); err != nil {
		return err
	}
	w.check()
	return w.end()
}

// settle ends all faults and lets time pass until everything has had its turn.
func (w *world) settle() error {
	w.note("all faults end")
	w.net.clear()
	w.diskFull.Store(false)
	ctx := context.Background()
	if err := w.maintenance(false); err != nil {
		return err
	}
	for _, p := range w.places {
		if _, err := w.admin.Users.Update(ctx, p.user, zammad.Changes{"active": true}); err != nil {
			return err
		}
	}
	w.discover()
	for _, id := range w.order { // the shells of merges too: a chat waits for what is out of sight
		if t := w.tickets[id]; !t.gone && t.group != t.home {
			w.move(t, t.home)
		}
	}
	w.bury()
	for _, in := range w.all {
		in.mu.Lock()
		in.fuse = 0
		in.mu.Unlock()
	}
	if w.anyone() == nil {
		if _, err := w.boot(); err != nil {
			return err
		}
	}
	<-time.After(130 * time.Second) // the longest call, and all attempts of a webhook
	for w.sim.Pending() > 0 || w.net.count(0) > 0 || w.freezing() {
		<-time.After(5 * time.Second)
	}
	for left := w.clockBack + 40*time.Minute; left > 0; left -= time.Minute {
		w.clock.jump(time.Minute)
		<-time.After(1500 * time.Millisecond)
	}
	<-time.After(70 * time.Second) // two rounds of reconciliation
	return w.untilErased()
}

func (w *world) freezing() bool {
	return slices.ContainsFunc(w.all, func(in *instance) bool {
		in.mu.Lock()
		defer in.mu.Unlock()
		return !in.dead && time.Until(in.frozen) > 0
	})
}

func (w *world) stepSend(s step) {
	p := w.phones[s.a%len(w.phones)]
	again := slices.IndexFunc(p.sendings, func(m *sending) bool { return m.key != "" && !m.acked })
	var m *sending
	switch {
	case again >= 0 && s.b%3 > 0: // the app tries again with the same key
		m = p.sendings[again]
		w.note("  %s again", m.text)
	default:
		m = &sending{phone: p, text: fmt.Sprintf("%s-%d", p.name, len(p.sendings)+1)}
		if s.b%4 != 0 {
			m.key = "key-" + m.text
		}
		m.files = filesOf(m.text, []int{0, 0, 0, 1, 2}[s.b/100%5])
		p.sendings = append(p.sendings, m)
		w.sent[m.text] = m
	}
	sending := bridge.Sending{Device: p.hash, Language: "de", Text: m.text, ClientKey: m.key, ForceNew: s.b%23 == 0}
	if s.b%7 == 0 {
		sending.Language = "en"
	}
	requests := 1
	if m.key != "" && s.b%5 == 0 {
		requests = 2
	}
	answers := make(chan reply, requests)
	for range requests {
		w.request(m, sending, answers)
	}
	patience := time.After(20 * time.Second)
	for range requests {
		select {
		case r := <-answers:
			w.replied(m, r, requests)
		case <-patience:
			w.note("  no answer to %s", m.text)
			return
		}
	}
}

// reply is what a phone got; neither value means that the instance died.
type reply struct {
	accepted bridge.Accepted
	err      error
	ok       bool
}

// request sends one request of a phone to any instance.
func (w *world) request(m *sending, s bridge.Sending, answers chan<- reply) {
	in, p := w.anyone(), m.phone
	if in == nil {
		answers <- reply{err: errCut}
		return
	}
	s.Files = carried(m.files)
	p.asking.Add(1)
	go func() {
		out := reply{}
		defer func() { // also when it dies
			p.asking.Add(-1)
			answers <- out
		}()
		region, ok := in.regions.BySlug(p.place.slug)
		if !ok {
			out.err = bridge.ErrRegionNotFound
			return
		}
		accepted, err := in.chats.Send(context.Background(), region, s)
		out = reply{accepted, err, err == nil}
	}()
}

func (w *world) replied(m *sending, r reply, requests int) {
	switch {
	case !r.ok && r.err == nil:
		w.note("  no answer to %s", m.text)
	case r.err != nil:
		w.note("  %s refused: %v", m.text, r.err)
		if !errors.Is(r.err, bridge.ErrStorage) && !errors.Is(r.err, errCut) {
			w.broke("%s was refused: %v", m.text, r.err)
		}
	case m.acked:
		if m.got.ID != r.accepted.Message.ID {
			w.broke("%s was accepted as two messages", m.text)
		}
	default:
		m.acked, m.got = true, r.accepted.Message
		if r.accepted.Duplicate || requests > 1 {
			return
		}
		for _, other := range m.phone.sendings {
			if other != m && other.acked && other.got.ID > m.got.ID {
				w.broke("%s was accepted after %s and comes before it", m.text, other.text)
			}
		}
	}
}

// one chooses a ticket; nil if there is none.
func (w *world) one(n int, fits func(*ticket) bool) *ticket {
	list := w.here(fits)
	if len(list) == 0 {
		return nil
	}
	return list[n%len(list)]
}

func (w *world) stepAnswer(s step) {
	if t := w.one(s.a, nil); t != nil {
		state := ""
		if s.b%8 == 0 {
			state = "closed"
			w.closing(t)
		}
		w.note("  agent-%d in ticket %d of %v", len(w.answers)+1, t.id, t.owner)
		w.write(t, s.b%3 == 1, state)
	}
}

// closing says that the group's rule may now give the chat another ticket.
func (w *world) closing(t *ticket) {
	if w.ruled {
		t.moved = true
	}
}

func (w *world) stepState(s step) {
	t := w.one(s.a, nil)
	if t == nil {
		return
	}
	change := zammad.TicketUpdate{State: "closed"}
	switch s.b % 4 {
	case 2:
		change.State = "open"
	case 3:
		change.State, change.PendingTime = "pending reminder", time.Now().Add(time.Hour)
	default:
		w.closing(t)
	}
	w.note("  ticket %d is %s", t.id, change.State)
	made, err := w.agent.Tickets.Update(context.Background(), zammad.TicketID(t.id), change)
	if err == nil && change.State == "closed" {
		t.closed = made.UpdatedAt
	}
}

// some chooses an answer that an agent can work on; nil if there is none.
func (w *world) some(n int) *answer {
	var list []*answer
	for i := range len(w.answers) {
		if a := w.answers[fmt.Sprintf("agent-%d", i+1)]; !a.gone && !a.at.gone && a.id != 0 {
			list = append(list, a)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[n%len(list)]
}

func (w *world) stepVisibility(s step) {
	a := w.some(s.a)
	if a == nil {
		return
	}
	w.note("  %s public: %v", a.text, !a.public)
	was := *a
	a.public = !a.public
	a.ever, a.late = a.ever || a.public, a.late || !a.public
	if a.public && a.at.owner != a.owner {
		a.shared = a.at.owner
	}
	if _, err := w.agent.Articles.SetInternal(context.Background(), zammad.ArticleID(a.id), !a.public); err != nil {
		*a = was
		w.note("  refused: %v", err)
	}
}

func (w *world) stepDeleteAnswer(s step) {
	if a := w.some(s.a); a != nil {
		w.note("  %s goes", a.text)
		if err := w.agent.Articles.Delete(context.Background(), zammad.ArticleID(a.id)); err == nil {
			a.gone = true
		}
	}
}

func (w *world) stepStranger(s step) {
	p := w.places[s.a%len(w.places)]
	group := p.group
	if s.b%4 == 0 {
		group = backoffice
	}
	w.stranger(group)
}

// stranger lets an agent make a ticket of somebody who has no chat; nil if it is
// refused.
func (w *world) stranger(group string) *ticket {
	made, err := w.agent.Tickets.Create(context.Background(), zammad.NewTicket{
		Title: "somebody", Group: group, Customer: &zammad.Customer{Login: fmt.Sprintf("stranger-%d", len(w.order)), Firstname: "Some", Lastname: "Body 1"},
		Article: &zammad.NewArticle{Type: zammad.TypeNote, Body: "by phone"},
	})
	if err != nil {
		w.note("  refused: %v", err)
		return nil
	}
	t := &ticket{id: int(made.ID), number: made.Number, group: group, home: group, people: make(map[*phone]bool)}
	if group == backoffice {
		t.home = w.places[0].group
	}
	w.tickets[t.id] = t
	w.order = append(w.order, t.id)
	w.note("  ticket %d is a stranger's", t.id)
	return t
}

func (w *world) stepMerge(s step) {
	from := w.one(s.a, nil)
	to := w.one(s.b, func(t *ticket) bool { return t != from })
	if from == nil || to == nil {
		return
	}
	w.note("  ticket %d of %v into %d of %v", from.id, from.owner, to.id, to.owner)
	w.merge(from, to)
}

func (w *world) move(t *ticket, group string) {
	w.note("  ticket %d goes to %s", t.id, group)
	if _, err := w.agent.Tickets.Update(context.Background(), zammad.TicketID(t.id), zammad.TicketUpdate{Group: group}); err != nil {
		w.note("  refused: %v", err)
		return
	}
	t.group = group
	t.away = t.away || group != t.home
}

func (w *world) stepMove(s step) {
	t := w.one(s.a, nil)
	switch {
	case t == nil:
	case t.group != t.home:
		w.move(t, t.home)
	case s.b%2 == 0:
		w.move(t, backoffice)
	default:
		for _, p := range w.places {
			if p.group != t.home {
				w.move(t, p.group)
				return
			}
		}
	}
}

func (w *world) stepDeleteTicket(s step) {
	if t := w.one(s.a, nil); t != nil {
		w.note("  ticket %d goes", t.id)
		w.erase(t)
	}
}

func (w *world) maintenance(on bool) error {
	settings, err := w.admin.Settings.List(context.Background())
	if err != nil {
		return err
	}
	for _, one := range settings {
		if one.Name == "maintenance_mode" {
			_, err = w.admin.Settings.Update(context.Background(), one.ID, zammad.Changes{"state_current": zammad.SettingValue{Value: on}})
		}
	}
	return err
}

func (w *world) stepRights(s step) {
	p, ctx := w.places[s.a%len(w.places)], context.Background()
	var err error
	switch s.b % 8 {
	case 0, 1:
		w.note("  %s may not enter", p.login)
		_, err = w.admin.Users.Update(ctx, p.user, zammad.Changes{"active": false})
	case 2, 3, 4:
		w.note("  %s may enter", p.login)
		_, err = w.admin.Users.Update(ctx, p.user, zammad.Changes{"active": true})
	case 5, 6:
		w.note("  maintenance: %v", s.b%8 == 5)
		err = w.maintenance(s.b%8 == 5)
	default:
		err = w.rotate(p)
	}
	if err != nil {
		w.note("  refused: %v", err)
	}
}

// rotate gives a region a new token.
func (w *world) rotate(p *place) error {
	ctx := context.Background()
	token, err := w.admin.As(p.login).Tokens.Create(ctx, zammad.NewToken{Name: "next", Permissions: []string{"ticket.agent"}})
	if err != nil {
		return err
	}
	w.note("  %s has a new token", p.slug)
	next := *p.region
	next.ZammadToken = bridge.Secret(token)
	if err := w.raw.SaveRegion(ctx, &next); err != nil {
		return err
	}
	p.region = &next
	for _, in := range w.all {
		if !in.isDead() {
			if err := in.regions.Reload(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) stepCallFault(s step) {
	f := &fault{
		kind: callFaults[s.a%len(callFaults)], only: []string{"write", "write", "write", "", "read", "search"}[s.b%6],
		skip: []int{0, 0, 0, 1, 2, 5}[s.b/6%6], times: []int{1, 1, 2, 3, 12}[s.b/36%5],
		delay: []time.Duration{100 * time.Millisecond, 2 * time.Second, 20 * time.Second, 100 * time.Second}[s.b/180%4],
	}
	w.note("  %d times, after %d, only %q: %s, by %v", f.times, f.skip, f.only, f.kind, f.delay)
	w.net.set(f)
}

func (w *world) stepHookFault(s step) {
	f := &fault{
		kind: hookFaults[s.a%len(hookFaults)], skip: s.b % 3, times: []int{1, 1, 2, 6}[s.b/3%4],
		delay: []time.Duration{100 * time.Millisecond, 5 * time.Second, 50 * time.Second}[s.b/12%3],
	}
	w.note("  %d times, after %d: %s, by %v", f.times, f.skip, f.kind, f.delay)
	w.net.set(f)
}

func (w *world) stepMend(step) { w.net.clear() }

func (w *world) stepCrash(s step) {
	if in := w.anyone(); in != nil {
		in.mu.Lock()
		in.fuse = 1 + s.a%30
		w.note("  %s dies at await point %d", in.name, in.fuse)
		in.mu.Unlock()
	}
}

func (w *world) stepStart(s step) {
	w.mu.Lock()
	n := len(w.alive)
	w.mu.Unlock()
	if n < 2 {
		if _, err := w.boot(); err != nil {
			w.broke("start: %v", err)
		}
	}
}

func (w *world) stepDeploy(step) {
	in := w.anyone()
	if in == nil {
		return
	}
	w.leave(in)
	in.shut()
	w.note("  %s stopped", in.name)
	if _, err := w.boot(); err != nil {
		w.broke("start: %v", err)
	}
}

func (w *world) stepFreeze(s step) {
	if in := w.anyone(); in != nil {
		d := []time.Duration{time.Second, 30 * time.Second, 2 * time.Minute, 7 * time.Minute}[s.a%4]
		w.note("  %s stands still for %v", in.name, d)
		in.mu.Lock()
		if until := time.Now().Add(d); until.After(in.frozen) {
			in.frozen = until
		}
		in.mu.Unlock()
	}
}

// stepClock moves the clock of the instances. While something is under way it
// moves less than the horizon allows: what runs in Zammad cannot be told from
// what has ended by a clock that is wrong by hours.
func (w *world) stepClock(s step) {
	by := []time.Duration{-5 * time.Second, 3 * time.Second, -time.Minute, 20 * time.Second, -40 * time.Minute, time.Hour}[s.a%6]
	if by > time.Minute {
		synctest.Wait()
		if w.net.count(0) > 0 || w.freezing() {
			return
		}
	}
	if by < 0 {
		w.clockBack -= by
	}
	w.note("  the clock jumps by %v", by)
	w.clock.jump(by)
}

func (w *world) stepDisk(s step) {
	full := s.a%2 == 0 && !w.diskFull.Load()
	w.note("  disk full: %v", full)
	w.diskFull.Store(full)
}

func (w *world) stepPoll(s step) { w.poll(w.phones[s.a%len(w.phones)]) }

// stepRule changes what a group wants with closed tickets.
func (w *world) stepRule(s step) {
	p := w.places[s.a%len(w.places)]
	rule := []string{zammad.FollowUpNewTicket, zammad.FollowUpYes}[s.b%2]
	w.note("  %s: %s", p.group, rule)
	w.ruled = true
	for _, t := range w.tickets {
		t.moved = true
	}
	_, err := w.admin.Groups.Update(context.Background(), p.groupID, zammad.Changes{"follow_up_possible": rule})
	if err != nil && !strings.Contains(err.Error(), strconv.Itoa(int(p.groupID))) {
		w.note("  refused: %v", err)
	}
}
