package bridge

import "time"

// WorkKind says what a piece of work in a lane does.
type WorkKind string

// The kinds of work towards a desk.
const (
	WorkMessage WorkKind = "message" // bring a message into the ticket, opening it if there is none
	WorkLabel   WorkKind = "label"   // let title, tag and consent of the ticket follow the chat
	WorkNote    WorkKind = "note"    // tell the agents, in the ticket, of a message that was set aside
)

// Work is one piece of durable work towards a desk. The works of a chat are its
// lane: they are done one after the other, by id.
type Work struct {
	ID       WorkID
	Kind     WorkKind
	Chat     Chat        // as it was when the work was taken
	Message  MessageID   // of WorkMessage and WorkNote
	UUID     MessageUUID // of the message
	Text     string      // of WorkMessage
	Files    []File      // of WorkMessage
	Previous string      // of WorkLabel: the language before
	Cause    Failed      // of WorkNote: why the message was set aside

	Attempts int // failed tries and looks, whatever the reason
	Refusals int // tries that the desk refused: what an outage costs does not count towards giving up
	// StartedAt is set and committed before a write is tried and cleared when
	// its outcome is known. Work that is taken with StartedAt set is in doubt:
	// the write may have been carried out, or may still be running.
	StartedAt time.Time
	TakenAt   time.Time // when the pump took it: what it writes now is looked for from then on
}

// InDoubt says whether an earlier try of this work may have been carried out.
func (w *Work) InDoubt() bool { return !w.StartedAt.IsZero() }

// Claim is the right to work on one lane until it ends. A result is only
// written while the claim still holds.
type Claim struct {
	ID    string // unique for each taking
	Chat  ChatID
	Until time.Time
}

// Outcome is what became of one piece of work. Exactly one of Sent, Retry and
// Failed is set, or none for work that is simply done.
type Outcome struct {
	Work WorkID

	Sent   *Sent
	Retry  *Retry
	Failed *Failed
}

// Sent says that the message is in the desk.
type Sent struct {
	Ticket   TicketID // becomes the chat's; 0: the chat stays with what it has
	State    TicketState
	StateAt  time.Time // by the desk's clock
	Customer CustomerID
	Article  ArticleID // 0: not known yet, it is recognised when it is read
}

// Retry puts the work back. The lane rests until Due.
type Retry struct {
	Due     time.Time
	Doubt   bool   // keep StartedAt: the write may have been carried out
	Attempt bool   // count it as a failed try
	Refused bool   // count it as a refusal
	Reason  string // for operators; no message text
	// Detach lets the message, and what waits behind it, open a new ticket in a
	// new chat: the ticket is gone, or may not be reopened. What agents still
	// write into the old one arrives all the same.
	Detach bool
	// State is the ticket's state as it was just read, and is believed whatever
	// was known: the work would come here again for ever if the desk's clock was
	// put back. TicketNone leaves it.
	State TicketState
}

// Failed sets the work aside: it cannot succeed.
type Failed struct {
	Code    string // stable, for the device
	Reason  string // for operators; no message text
	ErrorID string
}

// Delivery is a stored webhook delivery.
type Delivery struct {
	ID       DeliveryID
	Region   RegionID
	Key      string // the desk's delivery id; the same for all its repeats
	Body     []byte
	Hint     bool // came without a signature: it only says that a ticket changed
	Attempts int
	Received time.Time
}

// DeliveryOutcome says what became of a delivery.
type DeliveryOutcome string

// The outcomes of deliveries.
const (
	DeliveryRelayed       DeliveryOutcome = "relayed"        // its ticket was brought up to date
	DeliveryUnknownTicket DeliveryOutcome = "unknown_ticket" // no chat here has this ticket
	DeliveryOtherRegion   DeliveryOutcome = "other_region"   // the ticket is another region's chat
	DeliveryFailed        DeliveryOutcome = "failed"         // given up after many tries; reconciliation repairs it
	DeliveryDropped       DeliveryOutcome = "dropped"        // by a person
)

// DeliveryWaiting is the outcome of a delivery that has none yet.
const DeliveryWaiting DeliveryOutcome = ""

// DeliveryRecord says everything of a stored delivery but what it says.
type DeliveryRecord struct {
	ID       DeliveryID      `json:"id"`
	Region   string          `json:"region"`  // slug
	Outcome  DeliveryOutcome `json:"outcome"` // empty: it waits
	Reason   string          `json:"reason"`  // why the last try failed, for operators
	Attempts int             `json:"attempts"`
	Received time.Time       `json:"received"`
	Due      time.Time       `json:"due"`               // next try, while it waits
	Finished time.Time       `json:"finished,omitzero"` // zero: it waits
}

// DeliveryQuery asks for deliveries, the newest first.
type DeliveryQuery struct {
	Region   RegionID          // only of this one; 0: of all
	Outcomes []DeliveryOutcome // only with one of these; nil: with any
	Before   DeliveryID        // only ids below it, for paging; 0: from the newest
	Limit    int
}

// Receipt is what was read of a ticket, to be recorded in one step.
type Receipt struct {
	Chat     ChatID
	State    TicketState // of the chat's ticket (after Follow: of the new one); TicketNone leaves it
	StateAt  time.Time   // by the desk's clock; a state that is older than the known one changes nothing
	Articles []Article   // in order; unknown ones are added, known ones change visibility
	// Complete says that Articles is the whole ticket: what is known here and
	// not in it was deleted there, and is retracted.
	Complete bool
	// CheckedAt is the ticket's ChangedAt for which Articles is complete; zero leaves it.
	CheckedAt time.Time
	// Known is the CheckedAt of the KnownTicket from which it was decided what is
	// new. If another reading of the whole ticket was recorded since, nothing is
	// stored: the error is ErrTicketRead. nil asks nothing.
	Known *time.Time
	// Follow is the ticket into which Merged was merged; 0: no merge. A chat that
	// has left Merged meanwhile does not follow.
	Follow, Merged TicketID
	Now            time.Time
}

// KnownTicket is what is stored about a ticket of a chat.
type KnownTicket struct {
	Chat      Chat
	Articles  map[ArticleID]bool // every article that was ever read or written; true: it is shown, and in this ticket
	CheckedAt time.Time          // the ChangedAt up to which visibility was compared
}

// JobInfo describes a job for a list.
type JobInfo struct {
	Name     string    `json:"name"`
	Schedule string    `json:"schedule"`
	Next     time.Time `json:"next"` // next tick, UTC
}

// RunLease begins the name of the lease that is held while a job runs; the
// job's name follows.
const RunLease = "run:"

// JobRun is the record of one run of a job.
type JobRun struct {
	ID       int64 // set by Runs
	Job      string
	Instance string
	DryRun   bool
	Started  time.Time
	Ended    time.Time
	Counts   map[string]int // what it did, or would do, by name
	Error    string
}

// RunQuery asks for run records, the newest first.
type RunQuery struct {
	Job    string // only of this one; empty: of all
	Before int64  // only ids below it, for paging; 0: from the newest
	Limit  int
}

// PruneCutoffs says what is old enough to go. Regions maps each region to the
// time before which its chats must have had their last message.
type PruneCutoffs struct {
	Regions    map[RegionID]time.Time
	Files      map[RegionID]time.Time // contents that the desk has since before then
	Unclaimed  time.Time              // contents that no message has taken since then
	Deliveries time.Time
	Exposures  time.Time
	JobRuns    time.Time
	Erasures   time.Time // that are done
	Alerts     time.Time
	Statistics time.Time
	Audit      time.Time // zero: it is kept for ever
	Expired    time.Time // sessions, one-time links and overrides that ended before then
}
