package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
	"github.com/google/uuid"

	"deskbridge/zammad"
)

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

// addressed is the request of a webhook whose answer is for a device.
type addressed struct {
	device  int
	request []byte
}

// prepare makes webhooks, each for the next device. They are made before
// anything is measured, since making one takes more memory than relaying it.
func (a *audience) prepare(n int) ([]addressed, error) {
	webhooks := make([]addressed, n)
	for i := range webhooks {
		a.turn = a.turn%(streamDevices-1) + 1 // device 0 is the stuck one
		request, err := a.answers.next(a.turn)
		if err != nil {
			return nil, err
		}
		webhooks[i] = addressed{a.turn, request}
	}
	return webhooks, nil
}

// hear lets webhooks come, and gives the times from the first byte of each to its
// frame at the device, in milliseconds.
func (a *audience) hear(ctx context.Context, webhooks []addressed) ([]float64, error) {
	var (
		mu     sync.Mutex
		took   []float64
		failed error
		all    sync.WaitGroup
	)
	tick := time.NewTicker(webhookEvery)
	defer tick.Stop()
	for _, w := range webhooks {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		all.Go(func() {
			ms, err := a.deliver(w.request, a.arrived[w.device])
			mu.Lock()
			defer mu.Unlock()
			took, failed = append(took, ms), errors.Join(failed, err)
		})
	}
	all.Wait()
	return took, failed
}

// measure gives the 99th percentile of what webhooks take in that time.
func (a *audience) measure(ctx context.Context, length time.Duration) (float64, error) {
	webhooks, err := a.prepare(int(length / webhookEvery))
	if err != nil {
		return 0, err
	}
	took, err := a.hear(ctx, webhooks)
	return percentile99(took), err
}

// measureBoth is measure for two, which take turns every second: what else
// happens on the machine meanwhile, neighbours most of all, happens to both.
func measureBoth(ctx context.Context, sides [2]*audience, length time.Duration) (p99 [2]float64, err error) {
	const turn = int(time.Second / webhookEvery)
	var (
		webhooks [2][]addressed
		took     [2][]float64
	)
	for i, a := range sides {
		if webhooks[i], err = a.prepare(int(length/time.Second) * turn); err != nil {
			return p99, err
		}
	}
	runtime.GC() // what making them left is neither side's work
	for n := 0; n < len(webhooks[0]); n += turn {
		for i, a := range sides {
			ms, err := a.hear(ctx, webhooks[i][n:n+turn])
			if err != nil {
				return p99, err
			}
			took[i] = append(took[i], ms...)
		}
	}
	return [2]float64{percentile99(took[0]), percentile99(took[1])}, nil
}

func percentile99(took []float64) float64 {
	slices.Sort(took)
	return took[len(took)*99/100]
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
