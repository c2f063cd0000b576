package main

import (
	"context"
	"fmt"

	"deskbridge/zammad"
	"deskbridge/zammad/simulator"
)

// mailbox is a simulated Zammad, without delays and without webhooks.
type mailbox struct {
	sim    *simulator.Simulator
	origin string
	token  string // of the bridge's user
	first  int    // articles that were there before
	stop   func()
}

func openMailbox(ctx context.Context) (*mailbox, error) {
	const admin = "admin-token"
	m := &mailbox{sim: simulator.New(simulator.Config{AdminToken: admin})}
	address, stop, err := listen(m.sim.Handler())
	if err != nil {
		return nil, err
	}
	m.origin, m.stop = "http://"+address, stop
	client, err := zammad.New(zammad.Config{URL: m.origin, Token: admin})
	if err != nil {
		return nil, err
	}
	if _, err := client.Groups.Create(ctx, zammad.Group{Name: "App Chat", Active: true, FollowUpPossible: zammad.FollowUpYes}); err != nil {
		return nil, err
	}
	user := zammad.NewUser{Login: "deskbridge", Firstname: "Test", Lastname: "Bridge", Roles: []string{"Agent"}, Groups: map[string][]string{"App Chat": {"full"}}}
	if _, err := client.Users.Create(ctx, user); err != nil {
		return nil, err
	}
	m.first = len(m.sim.State().Articles)
	m.token, err = client.As("deskbridge").Tokens.Create(ctx, zammad.NewToken{Name: "bench", Permissions: []string{"ticket.agent"}})
	return m, err
}

// arrived counts the articles that came.
func (m *mailbox) arrived() int { return len(m.sim.State().Articles) - m.first }

// holds says whether so many articles have arrived.
func (m *mailbox) holds(n int) error {
	if got := m.arrived(); got != n {
		return fmt.Errorf("zammad has %d articles instead of %d", got, n)
	}
	return nil
}
