package desk

import (
	"context"
	"sync"
	"time"

	"deskbridge/bridge"
	"deskbridge/zammad"
)

// statesFor is how long Zammad's list of ticket states is believed: an
// administrator adds or changes one a few times in a Zammad's life. It is the
// search for changes that reads it anew, so that nobody waits for it.
//
// Failure policy: an id that is not in the list makes it be read at once; if
// that fails the old list goes on.
const statesFor = time.Hour

// statesAgain is how soon the list may be read again because of an id that is
// not in it, so that one that is never listed does not cost a call each time.
const statesAgain = 10 * time.Second

// stateList translates the states of one Zammad.
type stateList map[zammad.StateID]bridge.TicketState

// states knows the ticket states of one Zammad. They are told apart by type,
// since administrators can rename them (contract 2.6).
type states struct {
	client *zammad.Client
	now    func() time.Time
	turn   chan struct{} // holds one token: who has it may read the list anew

	mu     sync.Mutex
	known  stateList
	born   zammad.StateID // of the last ticket that was made; 0: none yet
	reopen zammad.StateID
	end    zammad.StateID // the first closed state
	read   time.Time
}

func newStates(client *zammad.Client, now func() time.Time) *states {
	s := &states{client: client, now: now, turn: make(chan struct{}, 1)}
	s.turn <- struct{}{}
	return s
}

// warm reads the list unless it is known and not too old: at most one call.
func (s *states) warm(ctx context.Context) error {
	_, err := s.list(ctx, func(stateList) bool { return true })
	return err
}

// of translates a state. One that Zammad does not list counts as open. The
// error is that of the list, where it has to be read: then nothing can be said
// of the ticket yet, since a message may rest in a merged or closed one.
func (s *states) of(ctx context.Context, id zammad.StateID) (bridge.TicketState, error) {
	if state := s.learned(id); state != bridge.TicketNone {
		return state, nil
	}
	has := func(known stateList) bool { _, ok := known[id]; return ok }
	known, err := s.list(ctx, has)
	switch {
	case known[id] != bridge.TicketNone:
		return known[id], nil
	case err != nil:
		return bridge.TicketNone, err
	}
	return bridge.TicketOpen, nil
}

// learned translates a state without any call; TicketNone if it is not known.
func (s *states) learned(id zammad.StateID) bridge.TicketState {
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.known[id]
	if state == bridge.TicketNone && id != 0 && id == s.born {
		return bridge.TicketOpen
	}
	return state
}

// bear translates the state of a ticket that was just made. It is open, so no
// list is needed to say so, and neither for the messages that follow. Should a
// trigger have closed it at once, the next list tells.
func (s *states) bear(id zammad.StateID) bridge.TicketState {
	s.mu.Lock()
	s.born = id
	s.mu.Unlock()
	if state := s.learned(id); state != bridge.TicketNone {
		return state
	}
	return bridge.TicketOpen
}

// opened gives the state that a follow-up puts a ticket in.
func (s *states) opened(ctx context.Context) (zammad.StateID, error) {
	if err := s.warm(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reopen == 0 {
		return 0, refused(bridge.DeskRefused, "this Zammad has no active ticket state of the type %q", zammad.StateOpen)
	}
	return s.reopen, nil
}

// closed gives the state in which a ticket is put that is over.
func (s *states) closed(ctx context.Context) (zammad.StateID, error) {
	if err := s.warm(ctx); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == 0 {
		return 0, refused(bridge.DeskRefused, "this Zammad has no active ticket state of the type %q", zammad.StateClosed)
	}
	return s.end, nil
}

// list gives the known states, read anew if they are old or not enough. With
// an error it still gives what was known before.
func (s *states) list(ctx context.Context, enough func(stateList) bool) (stateList, error) {
	if known, fresh := s.peek(enough); fresh {
		return known, nil
	}
	select {
	case <-ctx.Done():
		known, _ := s.peek(enough)
		return known, &bridge.DeskError{Kind: bridge.DeskUnavailable, Err: ctx.Err()}
	case <-s.turn:
	}
	defer func() { s.turn <- struct{}{} }()
	known, fresh := s.peek(enough)
	if fresh {
		return known, nil // somebody else has read it in the meantime
	}
	all, err := s.client.States.List(ctx)
	if err != nil {
		if known != nil {
			return known, nil
		}
		return nil, failed(ctx, s.client, err, ofAll)
	}
	return s.learn(all), nil
}

// peek gives the list and whether it will do.
func (s *states) peek(enough func(stateList) bool) (known stateList, fresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	age := s.now().Sub(s.read)
	return s.known, s.known != nil && age < statesFor && (age < statesAgain || enough(s.known))
}

func (s *states) learn(all []zammad.State) stateList {
	known := make(stateList, len(all))
	var reopen, end zammad.StateID
	for _, state := range all {
		known[state.ID] = stateOfType(state.Type)
		// The default for follow-ups if it is open, otherwise the first open one.
		if state.Active && state.Type == zammad.StateOpen && (reopen == 0 || state.DefaultFollowUp) {
			reopen = state.ID
		}
		if state.Active && state.Type == zammad.StateClosed && end == 0 {
			end = state.ID
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known, s.reopen, s.end, s.read = known, reopen, end, s.now()
	return known
}

// stateOfType translates a state's type. Types that are not known here take
// messages like an open ticket.
func stateOfType(kind string) bridge.TicketState {
	switch kind {
	case zammad.StateClosed, "removed": // "removed" is gone in newer versions (contract 7)
		return bridge.TicketClosed
	case zammad.StateMerged:
		return bridge.TicketMerged
	default: // new, open, pending reminder, pending action
		return bridge.TicketOpen
	}
}

// stateOfName translates a state as webhooks give it: by name and id, without
// its type (contract 4.2). It knows the names that Zammad is delivered with; a
// renamed state is TicketNone, which is to say that the delivery does not tell.
func stateOfName(name zammad.Name) bridge.TicketState {
	switch name {
	case "new", "open", "pending reminder", "pending close":
		return bridge.TicketOpen
	case "closed", "removed":
		return bridge.TicketClosed
	case "merged":
		return bridge.TicketMerged
	default:
		return bridge.TicketNone
	}
}
