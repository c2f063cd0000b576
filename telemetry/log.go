// Package telemetry makes the log.
package telemetry

import (
	"context"
	"fmt"
	"io"
	"log/slog"
)

// Options say how the log looks.
type Options struct {
	Level  string // debug, info, warn or error
	Format string // text or json
	// Attrs give what every line about a context carries, such as the request
	// id. Doors know it, this package does not.
	Attrs []func(context.Context) []slog.Attr
}

// NewLog makes a logger that writes to w. The error says which option is unknown.
func NewLog(w io.Writer, o Options) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.Level)); err != nil {
		return nil, fmt.Errorf("log level: %w", err)
	}
	options := &slog.HandlerOptions{Level: level}
	switch o.Format {
	case "text":
		return slog.New(handler{slog.NewTextHandler(w, options), o.Attrs}), nil
	case "json":
		return slog.New(handler{slog.NewJSONHandler(w, options), o.Attrs}), nil
	default:
		return nil, fmt.Errorf("log format %q is neither text nor json", o.Format)
	}
}

// handler adds the context's attributes to each line.
type handler struct {
	slog.Handler
	attrs []func(context.Context) []slog.Attr
}

// Handle adds the attributes, unless the line has one of that name.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	for _, give := range h.attrs {
		for _, attr := range give(ctx) {
			if !has(r, attr.Key) {
				r.AddAttrs(attr)
			}
		}
	}
	return h.Handler.Handle(ctx, r)
}

func has(r slog.Record, key string) bool {
	found := false
	r.Attrs(func(a slog.Attr) bool {
		found = a.Key == key
		return !found
	})
	return found
}

// WithAttrs keeps the context's attributes.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(attrs), h.attrs}
}

// WithGroup keeps the context's attributes.
func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name), h.attrs}
}
