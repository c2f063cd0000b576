package bridge

import (
	"context"
	"crypto/sha256"
	"time"
)

// ErasureRule says what an erasure asks of the desk.
type ErasureRule string

// The rules: close the tickets and take every name out of them, only tell the
// agents, or let Zammad delete the customer with all tickets.
const (
	EraseAnonymise ErasureRule = "anonymise"
	EraseNote      ErasureRule = "note"
	EraseDelete    ErasureRule = "delete"
)

// ErasureState is how far an erasure has come in the desk. Here, everything is
// gone before anybody is told of a receipt.
type ErasureState string

// The states of an erasure. A failed one is tried again once a day.
const (
	ErasurePending ErasureState = "pending"
	ErasureDone    ErasureState = "done"
	ErasureFailed  ErasureState = "failed"
)

// ReceiptHash stands for a receipt behind the door.
type ReceiptHash [sha256.Size]byte

// HashReceipt hashes a receipt, which is too long to be guessed.
func HashReceipt(receipt string) ReceiptHash { return sha256.Sum256([]byte(receipt)) }

// Traces are what an erased device left in the desk.
type Traces struct {
	Tickets   []TicketID    `json:"tickets,omitempty"`
	Customers []CustomerID  `json:"customers,omitempty"`
	Messages  []MessageUUID `json:"messages,omitempty"` // may still arrive: their writes were in doubt
}

// Erasing asks the store to erase a device.
type Erasing struct {
	Region  *Region
	Device  DeviceHash
	Receipt ReceiptHash
	Neutral string        // takes the place of the alias in the desk
	Horizon time.Duration // how long a cut-off write may still be running
	Subject string        // for the audit, where staff asks for it; empty: the user did
	Now     time.Time
}

// Erasure is the work towards the desk for a device that is erased here.
type Erasure struct {
	ID      int64
	Claim   string
	Region  RegionID
	Desk    DeskID
	Rule    ErasureRule
	Alias   string
	Neutral string
	Traces  Traces
	// SettledAt is when no write that was running at the erasure can be running
	// any more; the zero time if none was.
	SettledAt time.Time
	Attempts  int
	Refusals  int
}

// ErasureReport is what the holder of a receipt may know.
type ErasureReport struct {
	State      ErasureState
	Rule       ErasureRule
	ErasedAt   time.Time
	FinishedAt time.Time // zero: not finished
}

// ErasureOutcome is what became of one try. Done, or Retry with its time.
type ErasureOutcome struct {
	Done    bool
	Due     time.Time
	Refused bool
	Reason  string
}

// Export is everything that is stored of a device but its messages, which come
// page by page.
type Export struct {
	OpenedAt  time.Time
	Seq       Seq
	Read      Seq  // messages up to it were read on the device
	HasToken  bool // the device has a chat token
	Chats     []ExportedChat
	Exposures []Exposure
	Tester    *Tester // nil: no admin has set anything
}

// ExportedChat is a chat without what names it in the desk.
type ExportedChat struct {
	Chat
	ConsentAt time.Time // zero: never asked
}

// RightsStore keeps what users may have known and erased.
type RightsStore interface {
	// Erase removes a device with all that belongs to it, and leaves the work
	// that its traces in the desk make, in one transaction. A receipt that is
	// known changes nothing. The error is ErrChatNotFound if nothing is stored
	// of the device.
	Erase(ctx context.Context, e Erasing) error
	// ErasureReport tells of a receipt. The error is ErrReceiptUnknown.
	ErasureReport(ctx context.Context, r RegionID, receipt ReceiptHash) (ErasureReport, error)
	// ClaimErasures takes erasures that are due and that nobody holds.
	ClaimErasures(ctx context.Context, now, until time.Time, limit int) ([]Erasure, error)
	// FinishErasure writes what became of one; the error is ErrClaimLost if
	// somebody else holds it now. What is done keeps no trace.
	FinishErasure(ctx context.Context, e Erasure, o ErasureOutcome, now time.Time) error
	// Unerased counts erasures that are not done, by region, and those of them
	// that failed.
	Unerased(ctx context.Context) (map[RegionID]ErasureCounts, error)
	// Export reads what is stored of a device. The error is ErrChatNotFound.
	Export(ctx context.Context, r *Region, d DeviceHash) (Export, error)
	// ExportMessages reads a page of its messages, the oldest first.
	ExportMessages(ctx context.Context, r *Region, d DeviceHash, after MessageID, limit int) ([]Message, error)
}

// ErasureCounts are numbers for operators.
type ErasureCounts struct{ Pending, Failed int }
