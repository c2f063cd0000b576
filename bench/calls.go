package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"deskbridge/app"
	"deskbridge/config"
	"deskbridge/zammad"
	"deskbridge/zammad/simulator"
)

// counted is what happened and which calls to Zammad it cost, such as "POST
// /tickets".
type counted struct {
	what  string
	calls []string
}

// printCalls shows what each kind of event costs a Zammad.
func printCalls(ctx context.Context, out io.Writer) error {
	all, err := countCalls(ctx)
	if err != nil {
		return fmt.Errorf("calls: %w", err)
	}
	fmt.Fprintf(out, "\ncalls to Zammad, counted before a simulated one\n")
	for _, c := range all {
		fmt.Fprintf(out, "  %-34s %d  %s\n", c.what, len(c.calls), strings.Join(c.calls, ", "))
	}
	return nil
}

// callWorld is a whole Deskbridge with a simulated Zammad over HTTP.
type callWorld struct {
	device string // address of the chat that it writes in
	app    *app.App
	agent  *zammad.Client
	admin  *zammad.Client
	group  zammad.GroupID

	mu    sync.Mutex
	calls []string // of the bridge
}

// countCalls lets a chat go through its life. Reconciliation runs only when it
// is told to, so that its calls are told apart.
func countCalls(ctx context.Context) (all []counted, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "deskbridge-calls-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w := &callWorld{}
	stop, err := w.start(ctx, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()

	var ticket zammad.TicketID
	tag := ""
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"start", func() error { return w.called(ctx, 2) }},
		{"new chat, first of the process", func() error { return w.send(ctx, "first") }},
		{"message", func() error { return w.send(ctx, "second") }},
		{"delivery of an agent's answer", func() (err error) {
			if ticket, err = w.answer(ctx, "an answer"); err != nil {
				return err
			}
			_, err = w.wait(ctx, "an answer", "sent")
			return err
		}},
		{"poll", func() (err error) { tag, err = w.wait(ctx, "an answer", "sent"); return err }},
		{"poll without news", func() error { return w.pollAgain(ctx, tag) }},
		{"reconciliation, first", func() error { _, err := w.app.Jobs.RunNow(ctx, "reconcile", false); return err }},
		{"reconciliation, nothing new", func() error { _, err := w.app.Jobs.RunNow(ctx, "reconcile", false); return err }},
		{"message after the agent's answer", func() error {
			// Whoever answers in Zammad's screen opens the ticket, too.
			if _, err := w.agent.Tickets.Update(ctx, ticket, zammad.TicketUpdate{State: "open"}); err != nil {
				return err
			}
			return w.send(ctx, "third")
		}},
	} {
		if err := step.do(); err != nil {
			return nil, fmt.Errorf("%s: %w", step.what, err)
		}
		all = append(all, counted{step.what, w.take()})
	}
	return all, nil
}

// take gives the calls so far and forgets them.
func (w *callWorld) take() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	calls := w.calls
	w.calls = nil
	return calls
}

// called waits until the bridge has made so many calls.
func (w *callWorld) called(ctx context.Context, n int) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		w.mu.Lock()
		made := len(w.calls)
		w.mu.Unlock()
		if made >= n {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d calls, want %d: %w", made, n, ctx.Err())
		case <-tick.C:
		}
	}
}

var number = regexp.MustCompile(`/\d+`)

// start puts everything together.
func (w *callWorld) start(ctx context.Context, dir string) (stop func() error, err error) {
	const adminToken = "admin-token"
	sim := simulator.New(simulator.Config{AdminToken: adminToken})
	handler, bridgeToken := sim.Handler(), ""
	address, stopSimulator, err := listen(http.HandlerFunc(func(out http.ResponseWriter, in *http.Request) {
		w.mu.Lock()
		if bridgeToken != "" && strings.HasSuffix(in.Header.Get("Authorization"), bridgeToken) {
			path := strings.TrimPrefix(in.URL.Path, "/api/v1")
			w.calls = append(w.calls, in.Method+" "+number.ReplaceAllString(path, "/{id}"))
		}
		w.mu.Unlock()
		handler.ServeHTTP(out, in)
	}))
	if err != nil {
		return nil, err
	}
	origin := "http://" + address
	if w.admin, err = zammad.New(zammad.Config{URL: origin, Token: adminToken}); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w.device = fmt.Sprintf("http://%s/api/v3/%s/%s/chat/a-device/", listener.Addr(), slug, language)
	token, err := w.provision(ctx, origin, "http://"+listener.Addr().String())
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	bridgeToken = token
	w.mu.Unlock()

	if err := w.open(ctx, dir, origin, token); err != nil {
		return nil, err
	}
	running, cancel := context.WithCancel(ctx)
	var rooms sync.WaitGroup
	var failed error
	ready := make(chan struct{})
	rooms.Go(func() { _ = sim.Run(running) }) // always nil
	rooms.Go(func() {
		failed = w.app.Serve(running, app.ServeOptions{Listener: listener, Ready: func(net.Addr) { close(ready) }})
	})
	select {
	case <-ready:
	case <-ctx.Done():
	}
	return func() error {
		cancel()
		rooms.Wait()
		stopSimulator()
		return errors.Join(failed, w.app.Close())
	}, ctx.Err()
}

// provision makes group, users, webhook and trigger; it gives the bridge's token.
func (w *callWorld) provision(ctx context.Context, origin, device string) (token string, err error) {
	group, err := w.admin.Groups.Create(ctx, zammad.Group{Name: "App Chat", Active: true, FollowUpPossible: zammad.FollowUpYes})
	if err != nil {
		return "", err
	}
	w.group = group.ID
	tokens := map[string]string{"deskbridge": "", "counselor": ""}
	for login := range tokens {
		user := zammad.NewUser{Login: login, Firstname: "Test", Lastname: login, Roles: []string{"Agent"}, Groups: map[string][]string{group.Name: {"full"}}}
		if _, err := w.admin.Users.Create(ctx, user); err != nil {
			return "", err
		}
		if tokens[login], err = w.admin.As(login).Tokens.Create(ctx, zammad.NewToken{Name: "bench", Permissions: []string{"ticket.agent"}}); err != nil {
			return "", err
		}
	}
	if w.agent, err = zammad.New(zammad.Config{URL: origin, Token: tokens["counselor"]}); err != nil {
		return "", err
	}
	hook, err := w.admin.Webhooks.Create(ctx, zammad.Webhook{
		Name: "Deskbridge", Endpoint: device + "/api/v3/webhook/zammad/" + slug + "/", SignatureToken: secret, Active: true,
	})
	if err != nil {
		return "", err
	}
	is := func(value ...string) zammad.Condition { return zammad.Condition{Operator: "is", Value: value} }
	_, err = w.admin.Triggers.Create(ctx, zammad.Trigger{
		Name: "Deskbridge: answers", Active: true, Activator: "action", ExecutionConditionMode: "selective", DisableNotification: true,
		Condition: zammad.Conditions{
			"ticket.group_id": is(strconv.FormatInt(int64(group.ID), 10)), "article.sender_id": is("1"), "article.internal": is("false"),
			"article.action": zammad.Condition{Operator: "is", Value: "create"},
		},
		Perform: map[string]any{"notification.webhook": map[string]string{"webhook_id": strconv.FormatInt(int64(hook.ID), 10)}},
	})
	return tokens["deskbridge"], err
}

// open opens Deskbridge with one region.
func (w *callWorld) open(ctx context.Context, dir, origin, token string) error {
	cfg, err := config.Load("", []string{
		"DESKBRIDGE_DATA_DIR=" + dir,
		"DESKBRIDGE_LIMITS_EXEMPT_LOOPBACK=true", "DESKBRIDGE_EGRESS_ALLOW=127.0.0.0/8,::1",
		"DESKBRIDGE_LIMITS_DEVICE_WRITES_PER_MINUTE=0",
		"DESKBRIDGE_JOBS_RECONCILE=0 0 0 29 2 *", // only when it is told to
	})
	if err != nil {
		return err
	}
	if w.app, err = app.Open(ctx, cfg, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	if err := w.app.Store.AddRegion(ctx, benchRegion(origin, token)); err != nil {
		return err
	}
	return w.app.Regions.Reload(ctx)
}

// send lets the device write, and returns when Zammad has the message.
func (w *callWorld) send(ctx context.Context, words string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.device, strings.NewReader(url.Values{"message": {words}}.Encode()))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the answer is %s", answer.Status)
	}
	_, err = w.wait(ctx, words, "sent")
	return err
}

// wait polls until a message has a status, and gives the tag of that answer.
func (w *callWorld) wait(ctx context.Context, words, status string) (tag string, err error) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var history struct {
			Messages []struct{ Text, Status string }
		}
		tag, err := w.poll(ctx, "", &history)
		if err != nil {
			return "", err
		}
		for _, m := range history.Messages {
			if m.Text == words && m.Status == status {
				return tag, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("%q did not become %q: %w", words, status, ctx.Err())
		case <-tick.C:
		}
	}
}

// pollAgain asks for news, of which there must be none.
func (w *callWorld) pollAgain(ctx context.Context, tag string) error {
	again, err := w.poll(ctx, tag, nil)
	if err == nil && again != tag {
		err = fmt.Errorf("the tag %s became %s", tag, again)
	}
	return err
}

// poll asks once; with a tag the answer must be 304.
func (w *callWorld) poll(ctx context.Context, tag string, into any) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.device, nil)
	if err != nil {
		return "", err
	}
	want := http.StatusOK
	if tag != "" {
		request.Header.Set("If-None-Match", tag)
		want = http.StatusNotModified
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode != want {
		return "", fmt.Errorf("the answer is %s", answer.Status)
	}
	if into != nil {
		err = json.NewDecoder(answer.Body).Decode(into)
	}
	return answer.Header.Get("ETag"), err
}

// answer lets the agent write into the only ticket of the group.
func (w *callWorld) answer(ctx context.Context, words string) (zammad.TicketID, error) {
	found, err := w.agent.Tickets.Search(ctx, zammad.Search{
		Conditions: zammad.Conditions{"ticket.group_id": zammad.Condition{Operator: "is", Value: []string{strconv.FormatInt(int64(w.group), 10)}}}, Limit: 2,
	})
	if err != nil {
		return 0, err
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("%d tickets instead of one", len(found))
	}
	_, err = w.agent.Articles.Create(ctx, zammad.NewArticle{TicketID: found[0].ID, Type: zammad.TypeNote, ContentType: zammad.ContentPlain, Body: words})
	return found[0].ID, err
}
