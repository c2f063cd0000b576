package desk

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

// about says what a failed call was about, which decides what 403 and 404 mean.
type about int

const (
	ofAll    about = iota // no record of its own: a search, a new ticket, the states
	ofRecord              // one ticket or article
)

const (
	maxReason = 200 // characters of Zammad's words that are kept
	quoteSize = 12  // characters of a message that count as a quotation of it
)

// failed translates the error of a call.
func (s *site) failed(ctx context.Context, err error, what about) error {
	return failed(ctx, s.Client, err, what)
}

func failed(ctx context.Context, client *zammad.Client, err error, what about) error {
	if already, ok := errors.AsType[*bridge.DeskError](err); ok {
		return already
	}
	z, ok := errors.AsType[*zammad.Error](err)
	if !ok { // the arguments could not be encoded, so trying again is useless
		return &bridge.DeskError{Kind: bridge.DeskRefused, Reason: "the request could not be built", Err: err}
	}
	out := &bridge.DeskError{Reason: clip(z.Message), ErrorID: z.ErrorID, Err: err}
	switch z.Kind {
	case zammad.ErrNotAuthorized:
		out.Kind = bridge.DeskDenied
	case zammad.ErrForbidden:
		out.Kind = forbidden(ctx, client, z, what)
		if out.Kind == bridge.DeskDenied && out.Reason == "" {
			out.Reason = "refused with status 403"
		}
	case zammad.ErrNotFound:
		out.Kind = bridge.DeskRefused
		if what == ofRecord {
			out.Kind = bridge.DeskGone
		}
	case zammad.ErrInvalid:
		out.Kind = bridge.DeskRefused
	case zammad.ErrMasked, zammad.ErrServer:
		out.Kind = bridge.DeskMasked
	case zammad.ErrUnavailable:
		out.Kind = bridge.DeskUnavailable
	default:
		out.Kind = bridge.DeskAmbiguous
	}
	return out
}

// forbidden finds out which of its meanings a 403 has, by asking whether the
// token still works (contract 00.15). A record that is gone would be a 404, so
// one with 403 still exists, out of sight.
func forbidden(ctx context.Context, client *zammad.Client, z *zammad.Error, what about) bridge.DeskErrorKind {
	_, err := client.Users.Me(ctx)
	switch {
	case errors.Is(err, zammad.ErrNotAuthorized) || errors.Is(err, zammad.ErrForbidden):
		return bridge.DeskDenied
	case err != nil:
		return bridge.DeskUnavailable // not known yet; the refused call did nothing
	case z.Message == "":
		// Not Zammad's words: something in front of it, such as a firewall that
		// dislikes this one text. Nobody else has to wait for that.
		return bridge.DeskMasked
	case what == ofRecord:
		return bridge.DeskHidden
	default:
		return bridge.DeskDenied // the token works, but lacks a right that every such call needs
	}
}

// withoutText takes the message's text out of an error's reason: Zammad's
// words may repeat what was sent, most of all towards a token of an
// administrator, which sees database errors whole (contract 0.3).
func withoutText(err error, text string) error {
	d, ok := errors.AsType[*bridge.DeskError](err)
	if !ok || d.Reason == "" {
		return err
	}
	head := clipTo(strings.TrimSpace(text), quoteSize)
	if utf8.RuneCountInString(head) >= 4 && (strings.Contains(d.Reason, head) || strings.Contains(d.Reason, toHTML(head))) {
		d.Reason = "refused; the reason repeats the message and is not kept"
	}
	return d
}

func clip(text string) string { return clipTo(text, maxReason) }

func clipTo(text string, n int) string {
	if runes := []rune(text); len(runes) > n {
		return string(runes[:n])
	}
	return text
}
