package realtime

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/gomodule/redigo/redis"

	"deskbridge/bridge"
)

// Times and bounds of the bus.
const (
	channel = "deskbridge:changes"
	// busQueue bounds what waits for Redis; when it is full, notices are
	// dropped.
	//
	// Failure policy: a lost notice costs other instances up to half a second,
	// until they look at the database.
	busQueue = 1024
	// busPause is the rest before a lost connection is made again.
	busPause   = 2 * time.Second
	noticeSize = 8 + 8 + len(bridge.DeviceHash{})
)

// Bus carries "this device has reached this Seq" between instances over Redis,
// and nothing else: no text, no device id.
type Bus struct {
	pool *redis.Pool
	log  *slog.Logger
	out  chan []bridge.Change
}

// NewBus makes a bus from a Redis URL. The error says what is wrong with the
// URL; an unreachable Redis is none, the bus tries again by itself.
func NewBus(url string, log *slog.Logger) (*Bus, error) {
	dial := func() (redis.Conn, error) {
		return redis.DialURL(url, redis.DialConnectTimeout(5*time.Second), redis.DialWriteTimeout(5*time.Second))
	}
	if err := checkURL(url); err != nil {
		return nil, err
	}
	return &Bus{pool: &redis.Pool{Dial: dial, MaxIdle: 2, IdleTimeout: time.Minute}, log: log, out: make(chan []bridge.Change, busQueue)}, nil
}

// checkURL finds mistakes that no later try would mend.
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil {
		return errors.New("redis URL cannot be read") // the cause would show the password
	}
	if (u.Scheme != "redis" && u.Scheme != "rediss") || u.Host == "" {
		return errors.New("redis URL must look like redis://host:6379 or rediss://host:6379")
	}
	return nil
}

// Ping says whether Redis answers.
func (b *Bus) Ping(ctx context.Context) error {
	conn, err := b.pool.GetContext(ctx)
	if err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	defer conn.Close()
	if _, err := redis.DoContext(conn, ctx, "PING"); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

// Send passes changes on. It never blocks.
func (b *Bus) Send(changes []bridge.Change) {
	if len(changes) == 0 {
		return
	}
	select {
	case b.out <- changes:
	default:
	}
}

// Run sends and receives until ctx ends. Each received change goes to apply.
func (b *Bus) Run(ctx context.Context, apply func([]bridge.Change)) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.repeat(ctx, "send", b.sendAll)
	}()
	b.repeat(ctx, "receive", func(ctx context.Context) error { return b.receiveAll(ctx, apply) })
	<-done
	return b.pool.Close()
}

// repeat keeps a half of the bus going over lost connections.
func (b *Bus) repeat(ctx context.Context, half string, run func(context.Context) error) {
	for ctx.Err() == nil {
		if err := run(ctx); err != nil && ctx.Err() == nil {
			b.log.WarnContext(ctx, "bus interrupted; instances look at the database meanwhile", "half", half, "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(busPause):
		}
	}
}

func (b *Bus) sendAll(ctx context.Context) error {
	conn, err := b.pool.GetContext(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case changes := <-b.out:
			if _, err := conn.Do("PUBLISH", channel, encode(changes)); err != nil {
				return err
			}
		}
	}
}

func (b *Bus) receiveAll(ctx context.Context, apply func([]bridge.Change)) error {
	conn, err := b.pool.GetContext(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	sub := redis.PubSubConn{Conn: conn}
	if err := sub.Subscribe(channel); err != nil {
		return err
	}
	for {
		switch m := sub.ReceiveContext(ctx).(type) {
		case redis.Message:
			changes, err := decode(m.Data)
			if err != nil {
				b.log.WarnContext(ctx, "bus: a notice that is none was ignored", "error", err)
				continue
			}
			apply(changes)
		case error:
			return m
		}
	}
}

// encode writes changes as fixed-size records: region, seq, device hash.
func encode(changes []bridge.Change) []byte {
	out := make([]byte, 0, len(changes)*noticeSize)
	for _, c := range changes {
		out = binary.BigEndian.AppendUint64(out, uint64(c.Region))
		out = binary.BigEndian.AppendUint64(out, uint64(c.Seq))
		out = append(out, c.Device[:]...)
	}
	return out
}

func decode(data []byte) ([]bridge.Change, error) {
	if len(data)%noticeSize != 0 {
		return nil, errors.New("length is no multiple of a notice")
	}
	var out []bridge.Change
	for ; len(data) > 0; data = data[noticeSize:] {
		c := bridge.Change{
			Region: bridge.RegionID(binary.BigEndian.Uint64(data)),
			Seq:    bridge.Seq(binary.BigEndian.Uint64(data[8:])),
		}
		copy(c.Device[:], data[16:])
		out = append(out, c)
	}
	return out, nil
}
