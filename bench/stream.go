package main

import (
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
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"deskbridge/bridge"
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
	both := func() (ours, bare float64, err error) {
		p99, err := measureBoth(ctx, sides, 10*o.length)
		return p99[0], p99[1], err
	}
	if err := pairs(out, "stream-latency", o, 1.5, both); err != nil {
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
	return pairs(out, "stream-stuck", o, 1.3, inTurn(stuck, func() (float64, error) { return sides[0].measure(ctx, 5*o.length) }))
}

// inTurn measures one and then the other.
func inTurn(one, two func() (float64, error)) func() (ours, bare float64, err error) {
	return func() (ours, bare float64, err error) {
		if ours, err = one(); err != nil {
			return 0, 0, err
		}
		bare, err = two()
		return ours, bare, err
	}
}

// pairs measures pairs, once to warm up, and prints the medians.
func pairs(out io.Writer, name string, o options, most float64, pair func() (ours, bare float64, err error)) error {
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
		a, b, err := pair()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if round > 0 {
			ours, bare, ratios = append(ours, a), append(bare, b), append(ratios, a/b)
		}
	}
	printAtMost(out, name, "ms", ours, bare, ratios, most)
	return nil
}
