package bridge

import (
	"context"
	"time"
)

// Letter is a dead letter: a message that was set aside. It says everything but
// what the message says.
type Letter struct {
	ID       WorkID    `json:"id"`
	Region   string    `json:"region"` // slug
	Chat     ChatID    `json:"chat"`
	Ticket   TicketID  `json:"ticket,omitzero"` // of the chat; 0: none
	Kind     WorkKind  `json:"kind"`
	Code     string    `json:"code"` // as the device sees it
	Reason   string    `json:"reason"`
	ErrorID  string    `json:"error_id,omitzero"` // under which the desk's administrator finds the reason
	Attempts int       `json:"attempts"`
	SentAt   time.Time `json:"sent_at"` // when the device sent it
}

// LetterQuery asks for dead letters, the oldest first.
type LetterQuery struct {
	Region RegionID // only of this one; 0: of all
	After  WorkID   // only ids above it, for paging
	Limit  int      // 0: all
}

// LetterStore is what people need for dead letters. A message that was found in
// its ticket after all is none any more.
type LetterStore interface {
	Letters(ctx context.Context, q LetterQuery) ([]Letter, error)
	// LetterCounts says how many dead letters each region has; one without any
	// is left out.
	LetterCounts(ctx context.Context) (map[RegionID]int, error)
	// RetryLetters puts letters at the ends of their lanes, as if they were new:
	// what waits there already stays before them, since the head of a lane may be
	// in doubt. The devices see them queued. DropLetters forgets letters; for the
	// devices they stay failed.
	//
	// Both leave out what is no letter of the region (0: any), since somebody may
	// have been faster; they are one transaction with its audit, and give how many
	// letters there were. The error is ErrLetterUnknown if there were none.
	RetryLetters(ctx context.Context, region RegionID, ids []WorkID, now time.Time) (int, error)
	DropLetters(ctx context.Context, region RegionID, ids []WorkID, now time.Time) (int, error)
}
