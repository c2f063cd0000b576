package reliability_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"deskbridge/bridge"
	"deskbridge/zammad"
	"deskbridge/zammad/simulator"
)

// filesOf gives the contents of files, which say whose they are.
func filesOf(text string, n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("file %d of %s", i+1, text))
	}
	return out
}

func fileName(i int) string { return fmt.Sprintf("%d.txt", i+1) }

// carried are files as a device's request brings them.
func carried(contents []string) []bridge.File {
	var out []bridge.File
	for i, content := range contents {
		out = append(out, bridge.File{
			Attachment: bridge.Attachment{ID: bridge.NewAttachmentID(), Name: fileName(i), Type: "text/plain", Size: int64(len(content))},
			Digest:     sha256.Sum256([]byte(content)), Content: strings.NewReader(content),
		})
	}
	return out
}

// attached are files as an agent's article brings them.
func attached(contents []string) []zammad.File {
	var out []zammad.File
	for i, content := range contents {
		out = append(out, zammad.File{Filename: fileName(i), MimeType: "text/plain", Data: []byte(content)})
	}
	return out
}

// lookAtFiles: a message never has other files than its own, in their order.
func (w *world) lookAtFiles(p *phone, m bridge.Message, contents []string) {
	right := len(m.Attachments) == len(contents)
	for i, a := range m.Attachments {
		p.offered[a.ID] = true
		right = right && a.Name == fileName(i) && a.Size == int64(len(contents[i]))
	}
	if !right {
		w.broke("%s: %q has the files %v, want %q", p.name, m.Text, m.Attachments, contents)
	}
}

// load gets a file for a device.
func (w *world) load(p *phone, id bridge.AttachmentID) (string, error) {
	ctx, in := context.Background(), w.anyone()
	found, err := in.files.Find(ctx, p.place.region, p.hash, id)
	if err != nil {
		return "", err
	}
	if found.Content != nil {
		content, err := io.ReadAll(io.NewSectionReader(found.Content, 0, found.Size))
		return string(content), err
	}
	stream, err := in.files.Load(ctx, p.place.region, found)
	if err != nil {
		return "", err
	}
	defer stream.Close()
	content, err := io.ReadAll(stream)
	return string(content), err
}

// checkFiles: whoever is shown a file gets it, nobody else does, and Zammad has
// the files of each message once.
func (w *world) checkFiles(state simulator.State, shown map[*phone][]bridge.Message) {
	for p, messages := range shown {
		now := make(map[bridge.AttachmentID]bool)
		for _, m := range messages {
			for i, a := range m.Attachments {
				now[a.ID] = true
				w.checkLoad(p, m, i)
			}
		}
		for id := range p.offered {
			if _, err := w.load(p, id); !now[id] && !errors.Is(err, bridge.ErrAttachmentNotFound) {
				w.broke("%s: a file of a message that is gone is still to be had (%v)", p.name, err)
			}
		}
	}
	for _, p := range slices.Concat(w.phones, w.former) {
		for id := range p.offered {
			for _, other := range w.phones {
				if _, err := w.load(other, id); other != p && !errors.Is(err, bridge.ErrAttachmentNotFound) {
					w.broke("%s gets a file of %s (%v)", other.name, p.name, err)
				}
			}
		}
	}
	w.checkZammadsFiles(state)
}

// checkLoad: a file that is shown can be loaded and is the right one. Only of one
// whose article went out of sight, or to somebody else, nothing can be had.
func (w *world) checkLoad(p *phone, m bridge.Message, i int) {
	var want string
	excused := false
	if a := w.answers[m.Text]; a != nil {
		want, excused = a.files[i], a.stranded || a.gone || a.at.gone || a.at.moved
	} else {
		want, excused = w.sent[m.Text].files[i], w.lostTicket(p)
	}
	got, err := w.load(p, m.Attachments[i].ID)
	switch {
	case err != nil && excused && errors.Is(err, bridge.ErrAttachmentNotFound):
	case err != nil:
		w.broke("%s: file %d of %q cannot be had: %v", p.name, i+1, m.Text, err)
	case got != want:
		w.broke("%s: file %d of %q is %q, want %q", p.name, i+1, m.Text, got, want)
	}
}

// lostTicket says whether a ticket of the phone was deleted or merged away.
func (w *world) lostTicket(p *phone) bool {
	return slices.ContainsFunc(w.order, func(id int) bool {
		t := w.tickets[id]
		return t.opener == p && (t.gone || t.moved)
	})
}

// checkZammadsFiles: an article of a device has the files of its message.
func (w *world) checkZammadsFiles(state simulator.State) {
	with := make(map[int]bool) // tickets
	for _, a := range state.Articles {
		if w.sent[a.Body] != nil && !a.Deleted {
			with[a.Ticket] = true
		}
	}
	ctx := context.Background()
	for id := range with {
		articles, err := w.admin.Articles.OfTicket(ctx, zammad.TicketID(id))
		if err != nil {
			w.broke("ticket %d cannot be read: %v", id, err)
		}
		for _, a := range articles {
			s := w.sent[a.Body]
			if s == nil {
				continue
			}
			var got []string
			for _, f := range a.Attachments {
				stream, err := w.admin.Articles.Open(ctx, a.TicketID, a.ID, f.ID)
				if err != nil {
					w.broke("a file of %q is not in Zammad: %v", s.text, err)
					continue
				}
				content, _ := io.ReadAll(stream) // from memory
				stream.Close()
				got = append(got, string(content))
			}
			if !slices.Equal(got, s.files) {
				w.broke("%q has the files %q in Zammad, want %q", s.text, got, s.files)
			}
		}
	}
}
