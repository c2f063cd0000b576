package reliability

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/url"
	"strconv"
	"strings"

	"deskbridge/zammad"
)

// file gives what a message carries beside its text: every eighth has a file of
// more than one piece, which says whose it is in every line.
func file(text string) string {
	n, err := strconv.Atoi(text[strings.LastIndexByte(text, ' ')+1:])
	if err != nil || n%8 != 0 {
		return ""
	}
	return strings.Repeat(text+"\n", 300_000/len(text))
}

// form encodes a message with its file, if it has one.
func (m letter) form() (body, kind string) {
	content := file(m.text)
	if content == "" {
		return url.Values{"message": {m.text}}.Encode(), "application/x-www-form-urlencoded"
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	// A buffer takes everything.
	_ = w.WriteField("message", m.text)
	to, _ := w.CreateFormFile("attachment", "file.txt")
	_, _ = io.WriteString(to, content)
	_ = w.Close()
	return b.String(), w.FormDataContentType()
}

// files holds that every message in the devices' tickets has its file, and none
// another's.
func (l *load) files() error {
	ctx := l.h.t.Context()
	truth, err := l.h.truth(ctx)
	if err != nil {
		return err
	}
	for _, d := range l.devices {
		ticket, _ := d.written(truth)
		if ticket <= 0 {
			continue
		}
		articles, err := l.h.agent.Articles.OfTicket(ctx, zammad.TicketID(ticket))
		if err != nil {
			return err
		}
		for _, a := range articles {
			if !strings.HasPrefix(a.Body, d.id+" says ") {
				continue
			}
			var got string
			for _, f := range a.Attachments {
				stream, err := l.h.agent.Articles.Open(ctx, a.TicketID, a.ID, f.ID)
				if err != nil {
					return err
				}
				content, err := io.ReadAll(stream)
				stream.Close()
				if err != nil {
					return err
				}
				got += string(content)
			}
			if want := file(a.Body); got != want {
				return &hopeless{fmt.Errorf("%q has files of %d bytes, want %d: %.60q", a.Body, len(got), len(want), got)}
			}
		}
	}
	return nil
}
