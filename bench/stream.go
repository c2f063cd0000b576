package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

// What the way from a webhook to a frame is measured with.
const (
	streamDevices = 1000 // each with a chat and a socket
	webhookEvery  = 50 * time.Millisecond
)

// open gives each device a chat with a ticket: device-N has ticket N+1, whose
// first article has the same number.
func (s *stack) open(ctx context.Context, devices int) error {
	now := time.Now()
	for n := range devices {
		sub := bridge.Submission{
			Region: s.region, Device: s.hasher.Hash("device-" + strconv.Itoa(n)), Language: language, UUID: bridge.MessageUUID(uuid.NewString()), Text: text,
			Admit: func(bridge.Standing) bool { return true }, Alias: uuid.NewString()[:16], Now: now,
		}
		if _, err := s.store.Accept(ctx, sub); err != nil {
			return err
		}
	}
	for {
		claims, err := s.store.ClaimLanes(ctx, s.region.Desk, now, now.Add(time.Minute), 100)
		if err != nil || len(claims) == 0 {
			return err
		}
		for _, claim := range claims {
			work, err := s.store.Start(ctx, claim, now)
			if err != nil {
				return err
			}
			ticket := bridge.TicketID(claim.Chat) // chats were opened in order
			sent := &bridge.Sent{Ticket: ticket, State: bridge.TicketOpen, StateAt: now, Customer: 7, Article: bridge.ArticleID(ticket)}
			if _, err := s.store.Finish(ctx, claim, bridge.Outcome{Work: work.ID, Sent: sent}, now); err != nil {
				return err
			}
			if err := s.store.Release(ctx, claim, now.Add(time.Hour)); err != nil && !errors.Is(err, bridge.ErrClaimLost) {
				return err
			}
		}
	}
}

// answers makes deliveries of agents' answers, each a new one of a ticket.
type answers struct {
	body    map[string]any
	article atomic.Int64
	known   [streamDevices][]int64
}

func newAnswers() (*answers, error) {
	raw, err := longDelivery()
	if err != nil {
		return nil, err
	}
	a := &answers{}
	a.article.Store(1_000_000)
	for n := range a.known {
		a.known[n] = []int64{int64(n + 1)}
	}
	return a, json.Unmarshal(raw, &a.body)
}

// next gives the request of a delivery for a device.
func (a *answers) next(device int) ([]byte, error) {
	id := a.article.Add(1)
	a.known[device] = append(a.known[device], id)
	ticket, article := a.body["ticket"].(map[string]any), a.body["article"].(map[string]any)
	ticket["id"], ticket["article_ids"] = device+1, a.known[device]
	article["id"], article["ticket_id"] = id, device+1
	body, err := json.Marshal(a.body)
	return fmt.Appendf(nil, "POST /api/v3/webhook/zammad/%s/ HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nX-Zammad-Delivery: %s\r\nX-Hub-Signature: %s\r\nContent-Length: %d\r\n\r\n%s",
		slug, uuid.NewString(), zammad.Sign(secret, body), len(body), body), err
}

// audience is devices that listen, all by socket.
type audience struct {
	address string
	answers *answers
	arrived [streamDevices]chan time.Time
	turn    int
	stop    func()
}

// gather opens the sockets.
func gather(ctx context.Context, address string) (*audience, error) {
	deliveries, err := newAnswers()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	a := &audience{address: address, answers: deliveries, stop: cancel}
	for n := range a.arrived {
		arrived := make(chan time.Time, 16)
		a.arrived[n] = arrived
		conn, _, err := websocket.Dial(ctx, "http://"+address+chatPath(n)+"socket/?since=2", nil)
		if err != nil {
			cancel()
			return nil, err
		}
		conn.SetReadLimit(1 << 20)
		go func() {
			for {
				_, frame, err := conn.Read(ctx)
				if err != nil {
					return
				}
				if bytes.HasPrefix(frame, []byte(`{"type":"message"`)) && bytes.Contains(frame, []byte(`"author":"agent"`)) {
					arrived <- time.Now()
				}
			}
		}()
	}
	return a, nil
}

// measure lets webhooks come for a time, and gives the 99th percentile of the
// times from the first byte of one to its frame at the device, in milliseconds.
func (a *audience) measure(ctx context.Context, length time.Duration) (float64, error) {
	var (
		mu     sync.Mutex
		took   []float64
		failed error
		all    sync.WaitGroup
	)
	tick := time.NewTicker(webhookEvery)
	defer tick.Stop()
	for range int(length / webhookEvery) {
		a.turn = a.turn%(streamDevices-1) + 1 // device 0 is the stuck one
		device := a.turn
		request, err := a.answers.next(device)
		if err != nil {
			return 0, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		all.Go(func() {
			ms, err := a.deliver(request, a.arrived[device])
			mu.Lock()
			defer mu.Unlock()
			took, failed = append(took, ms), errors.Join(failed, err)
		})
	}
	all.Wait()
	slices.Sort(took)
	return took[len(took)*99/100], failed
}

func (a *audience) deliver(request []byte, arrived <-chan time.Time) (float64, error) {
	conn, err := net.Dial("tcp", a.address)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	began := time.Now()
	if _, err := conn.Write(request); err != nil {
		return 0, err
	}
	select {
	case at := <-arrived:
		return float64(at.Sub(began).Microseconds()) / 1000, nil
	case <-time.After(20 * time.Second):
		return 0, errors.New("a webhook brought no frame")
	}
}

// stick connects device 0, gives it more than it can take, and reads nothing.
func (s *stack) stick(ctx context.Context, address string) (stop func(), err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(conn, "GET %sevents/?since=2 HTTP/1.1\r\nHost: bench\r\n\r\n", chatPath(0)); err != nil {
		return nil, err
	}
	now := time.Now()
	receipt := bridge.Receipt{Chat: 1, Now: now}
	first := bridge.ArticleID(10_000_000 + now.UnixMilli()%1_000_000_000)
	for n := range bridge.ArticleID(400) {
		receipt.Articles = append(receipt.Articles, bridge.Article{
			ID: first + n, Ticket: 1, Public: true, HTML: strings.Repeat("x", 10_000), Text: strings.Repeat("x", 10_000), CreatedAt: now,
		})
	}
	changes, err := s.store.Record(ctx, receipt)
	s.marks.Publish(changes...)
	return func() { conn.Close() }, err
}

// The statements of the relay's part, as few as they can be.
const (
	claimDelivery  = "UPDATE deliveries SET claim_id = ?, claimed_until = ?, attempts = attempts + 1 WHERE region_id = 1 AND delivery_key = ?"
	insertArticle  = "INSERT INTO articles (desk_id, article_id, ticket_id, chat_id, message_id, visible, barred) VALUES (?, ?, ?, ?, ?, 1, 0)"
	raiseDevice    = "UPDATE devices SET seq = seq + 1, changed_at = ?, last_message_at = ? WHERE id = ?"
	touchChat      = "UPDATE chats SET last_message_at = ? WHERE id = ?"
	finishDelivery = "UPDATE deliveries SET outcome = 'relayed', finished_at = ?, claim_id = '' WHERE region_id = 1 AND delivery_key = ?"
)

// bareStreams takes deliveries and hands them to a bare hub, with the commits
// that the product needs: stored, claimed, recorded, finished.
type bareStreams struct {
	*bare
	hub *bareHub
}

func (b bareStreams) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		b.hub.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		failBare(w, err)
		return
	}
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write(body)
	given, err := hex.DecodeString(strings.TrimPrefix(r.Header.Get("X-Hub-Signature"), "sha1="))
	if err != nil || !hmac.Equal(given, mac.Sum(nil)) {
		failBare(w, errors.New("wrong signature"))
		return
	}
	key, now := r.Header.Get("X-Zammad-Delivery"), time.Now().UnixMilli()
	err = b.change(r.Context(), func(do doer) error {
		_, err := do(insertDelivery).Exec(1, key, body, false, now, 0, now)
		return err
	})
	if err != nil {
		failBare(w, err)
		return
	}
	answerBare(w, []byte(`{"status":"stored"}`+"\n"))
	go b.relay(context.WithoutCancel(r.Context()), key, body) //nolint:errcheck // a delivery that fails brings no frame, and that is noticed
}

// relay does in one goroutine what must be done before a frame may be written.
func (b bareStreams) relay(ctx context.Context, key string, body []byte) error {
	now := time.Now().UnixMilli()
	var parsed struct {
		Ticket  struct{ ID int64 }
		Article struct {
			ID   int64
			Body string
		}
	}
	if err := json.Unmarshal(body, &parsed); err != nil {
		return err
	}
	err := b.change(ctx, func(do doer) error {
		_, err := do(claimDelivery).Exec(uuid.NewString(), now+60_000, key)
		return err
	})
	if err != nil {
		return err
	}
	chat := parsed.Ticket.ID
	err = b.change(ctx, func(do doer) error {
		result, err := do(insertMessage).Exec(chat, chat, 3, uuid.NewString(), string(bridge.AuthorAgent), "", parsed.Article.Body, parsed.Article.Body, false, string(bridge.StatusSent), nil, now, 0)
		if err != nil {
			return err
		}
		message, err := result.LastInsertId()
		if err != nil {
			return err
		}
		if _, err := do(insertArticle).Exec(1, parsed.Article.ID, chat, chat, message); err != nil {
			return err
		}
		if _, err := do(raiseDevice).Exec(now, now, chat); err != nil {
			return err
		}
		_, err = do(touchChat).Exec(now, chat)
		return err
	})
	if err != nil {
		return err
	}
	frame, err := json.Marshal(map[string]any{"content": parsed.Article.Body, "text": parsed.Article.Body, "author": "agent", "id": parsed.Article.ID})
	if err != nil {
		return err
	}
	b.hub.push("device-"+strconv.FormatInt(chat-1, 10), fmt.Appendf(nil, `{"type":"message","seq":3,"message":%s}`, frame))
	return b.change(ctx, func(do doer) error {
		_, err := do(finishDelivery).Exec(now, key)
		return err
	})
}

// printStreams compares how long an answer takes to its device, and whether one
// that is stuck delays the others.
func printStreams(ctx context.Context, out io.Writer, p *places, o options) (err error) {
	if !strings.HasPrefix("stream-latency", o.only) && !strings.HasPrefix("stream-stuck", o.only) {
		return nil
	}
	path := p.sqlite()
	ours, err := newStack(ctx, "sqlite:"+p.sqlite())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.close()) }()
	model, err := newStack(ctx, "sqlite:"+path)
	if err != nil {
		return err
	}
	if err := errors.Join(ours.open(ctx, streamDevices), model.open(ctx, streamDevices), model.close()); err != nil {
		return err
	}
	other, err := openBareSQLite(ctx, path, insertDelivery, claimDelivery, insertMessage, insertArticle, raiseDevice, touchChat, finishDelivery)
	if err != nil {
		return err
	}
	ours.relay()
	var sides [2]*audience
	for i, handler := range []http.Handler{ours.handler, bareStreams{other, newBareHub()}} {
		address, stop, err := listen(handler)
		if err != nil {
			return err
		}
		defer stop()
		if sides[i], err = gather(ctx, address); err != nil {
			return err
		}
		defer sides[i].stop()
	}
	if err := pairs(out, "stream-latency", o, 1.5, func() (float64, error) { return sides[0].measure(ctx, 5*o.length) }, func() (float64, error) { return sides[1].measure(ctx, 5*o.length) }); err != nil {
		return err
	}
	stuck := func() (float64, error) {
		stop, err := ours.stick(ctx, sides[0].address)
		if err != nil {
			return 0, err
		}
		defer stop()
		return sides[0].measure(ctx, 5*o.length)
	}
	return pairs(out, "stream-stuck", o, 1.3, stuck, func() (float64, error) { return sides[0].measure(ctx, 5*o.length) })
}

// pairs runs both by turns, once to warm up, and prints the medians.
func pairs(out io.Writer, name string, o options, most float64, one, two func() (float64, error)) error {
	if !strings.HasPrefix(name, o.only) {
		return nil
	}
	if o.profile != "" {
		stop, err := profile(o.profile)
		if err != nil {
			return err
		}
		defer stop()
	}
	var ours, bare, ratios []float64
	for round := range o.rounds + 1 {
		a, err := one()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		b, err := two()
		if err != nil {
			return fmt.Errorf("%s, compared: %w", name, err)
		}
		if round > 0 {
			ours, bare, ratios = append(ours, a), append(bare, b), append(ratios, a/b)
		}
	}
	printAtMost(out, name, "ms", ours, bare, ratios, most)
	return nil
}
