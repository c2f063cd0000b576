package cli

import (
	"fmt"
	"strconv"
	"time"

	"deskbridge/app"
	"deskbridge/bridge"
)

type chatsCmd struct {
	JSON bool `name:"json" help:"Print as JSON."`
}

// Run prints numbers of chats and messages by region.
func (c *chatsCmd) Run(s *invocation) error {
	return s.withApp(func(a *app.App) error {
		counts, err := a.Store.ChatCounts(s.ctx)
		if err != nil {
			return fmt.Errorf("count chats: %w", err)
		}
		if c.JSON {
			if counts == nil {
				counts = []bridge.ChatCounts{}
			}
			return s.printJSON(counts)
		}
		t := s.table("REGION", "CHATS", "OPEN", "MESSAGES", "QUEUED", "FAILED", "OLDEST QUEUED", "LAST MESSAGE")
		for _, n := range counts {
			t.row(n.Slug, strconv.Itoa(n.Chats), strconv.Itoa(n.Open), strconv.Itoa(n.Messages), strconv.Itoa(n.Queued), strconv.Itoa(n.Failed),
				moment(n.OldestQueued), moment(n.LastMessageAt))
		}
		return t.flush()
	})
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}
