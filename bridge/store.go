package bridge

import (
	"context"
	"time"

	"deskbridge/gate"
)

// Submission is a device's wish to be stored. Text is already clean.
type Submission struct {
	Region    *Region
	Device    DeviceHash
	Language  string
	UUID      MessageUUID
	Text      string // empty without files: consent only
	Files     []File // contents are stored already
	ClientKey string // idempotency key; empty: none
	Since     Seq    // for Accepted.History
	Consent   *bool
	ForceNew  bool      // close the current chat here and open another
	Alias     string    // random name for the device if it has none yet
	Token     TokenHash // chat token that the device shall have from now on; zero: leave it
	Proved    TokenHash // chat token that the sender has shown; zero: none
	Now       time.Time
	// Admit asks the gate where the submission would open a chat; nil admits
	// nobody. It is called within the transaction, perhaps more than once, and
	// must neither wait nor keep anything of earlier calls.
	Admit func(Standing) bool
}

// Accepted is a stored submission.
type Accepted struct {
	Message   Message
	Seq       Seq
	Duplicate bool      // the key was known: nothing was stored again
	Token     TokenHash // the device's chat token, as the transaction left it
	// History is what changed after Submission.Since, up to the new message, as
	// the same transaction saw it. Its Seq is 0 where no message was stored.
	History History
}

// Standing is what the gate must know of a device.
type Standing struct {
	Override gate.Override // set by an admin, and not ended
	Running  bool          // has a current chat that is not expired
	Sticky   bool          // once opened a chat here
}

// ChatStore is what devices' requests need. Every call is one transaction.
type ChatStore interface {
	// Accept stores a submission, and the work that it makes for the lane, and
	// returns when that is durable. Errors: ErrKeyReused; ErrNotServed if it
	// would open a chat and is not admitted; ErrChatNotFound for consent
	// alone where there is no chat; ErrChatToken if the device has a
	// token that was neither shown nor is the one that it shall get.
	Accept(ctx context.Context, s Submission) (Accepted, error)
	// History reads what changed after since (0: everything that is not
	// retracted). The error is ErrChatNotFound where the device has no chat
	// that is younger than the region's retention.
	History(ctx context.Context, r *Region, d DeviceHash, since Seq, now time.Time) (History, error)
	// MarkRead moves a device's mark of what was read up to seq, at most to its
	// newest message and never back; what moves nothing writes nothing. The
	// error is ErrChatNotFound as for History.
	MarkRead(ctx context.Context, r *Region, d DeviceHash, seq Seq, now time.Time) ([]Change, error)
	// ClaimTyping takes, for one caller of all instances, the right to tell the
	// agents of the device's ticket that the person is writing: if the ticket is
	// open and nobody took it after since. It gives the ticket.
	ClaimTyping(ctx context.Context, r *Region, d DeviceHash, now, since time.Time) (ticket TicketID, claimed bool, err error)
	// Token gives the chat token of a device, and the device's Seq at which it
	// was read; both are zero for a device that is not known.
	Token(ctx context.Context, r *Region, d DeviceHash) (TokenHash, Seq, error)
	// Standing tells what the gate must know.
	Standing(ctx context.Context, r *Region, d DeviceHash, now time.Time) (Standing, error)
	// KeepContent and DropContents are those of FileStore.
	KeepContent(ctx context.Context, f *File, now time.Time) error
	DropContents(ctx context.Context, files []File) error
	// RecordExposures stores decisions, once a device and day; known ones are left alone.
	RecordExposures(ctx context.Context, exposures []Exposure) error
}

// Exposure is the first time on a day that a device was told a decision.
type Exposure struct {
	Region     RegionID
	Device     DeviceHash
	Day        string // UTC, 2006-01-02
	Served     bool
	Reason     gate.Reason
	At         time.Time
	Language   string  // of the question; empty: it named none
	AppVersion string  // as the app said, if the gate can read it
	Percentage float64 // that was in force
}

// LaneStore is what the pump needs.
type LaneStore interface {
	// DueDesks lists the desks that have lanes with work due.
	DueDesks(ctx context.Context, now time.Time) ([]DeskID, error)
	// ClaimLanes takes up to limit due lanes of a desk that nobody holds, the
	// longest waiting first.
	ClaimLanes(ctx context.Context, desk DeskID, now, until time.Time, limit int) ([]Claim, error)
	// Start takes the lane's next work and commits that a write is about to be
	// tried (Work.StartedAt was possibly set before: then it is in doubt and is
	// left as it is). nil means the lane is empty, and the claim was given back.
	Start(ctx context.Context, c Claim, now time.Time) (*Work, error)
	// Articles lists the articles of a chat that are known here, in no order.
	Articles(ctx context.Context, id ChatID) ([]ArticleID, error)
	// Finish writes what became of the work. Retry ends the claim and lets the
	// lane rest. The error is ErrClaimLost if somebody else holds the lane now:
	// then nothing was written.
	Finish(ctx context.Context, c Claim, o Outcome, now time.Time) ([]Change, error)
	// Renew prolongs claims that still hold, in one step; lost ones stay lost.
	Renew(ctx context.Context, claims []Claim, now, until time.Time) error
	// Release gives a lane back untouched, with Retry-like rest until due.
	Release(ctx context.Context, c Claim, due time.Time) error
	// Sweep repairs lanes that have work but no due time; it returns how many.
	Sweep(ctx context.Context, now time.Time, dryRun bool) (int, error)
}

// TicketStore is what the way back needs.
type TicketStore interface {
	// KnownTicket finds what is stored about a ticket. The error is
	// ErrTicketUnknown if no chat has it.
	KnownTicket(ctx context.Context, d DeskID, t TicketID) (KnownTicket, error)
	// KnownTickets is the same for many; unknown ones are left out.
	KnownTickets(ctx context.Context, d DeskID, t []TicketID) (map[TicketID]KnownTicket, error)
	// Record stores what was read of a ticket and gives the devices' changes. A
	// reading of the whole ticket that is older than the recorded one changes
	// nothing; see also Receipt.Known.
	// It is idempotent: an article is one message whatever comes how often.
	// Articles whose Header names a message of ours are linked to it.
	Record(ctx context.Context, r Receipt) ([]Change, error)
	// Mark and SetMark keep the time up to which a search for changes has been
	// read; the zero time if there is none.
	Mark(ctx context.Context, name string) (time.Time, error)
	SetMark(ctx context.Context, name string, at time.Time) error
}

// WaitingStore is what the fast lane needs.
type WaitingStore interface {
	// Waiting says whether one of the devices has a message in the desk that no
	// agent has answered yet.
	Waiting(ctx context.Context, r RegionID, devices []DeviceHash) (bool, error)
}

// InboxStore keeps webhook deliveries until they are relayed.
type InboxStore interface {
	// StoreDelivery keeps a delivery and returns when it is durable. It says
	// false if the region already has one with this key.
	StoreDelivery(ctx context.Context, d Delivery) (stored bool, err error)
	// ClaimDeliveries takes up to limit deliveries that are due, oldest first.
	ClaimDeliveries(ctx context.Context, claim string, now, until time.Time, limit int) ([]Delivery, error)
	// FinishDelivery records the outcome, if the claim still holds.
	FinishDelivery(ctx context.Context, claim string, id DeliveryID, o DeliveryOutcome, now time.Time) error
	// RetryDelivery puts it back until due.
	RetryDelivery(ctx context.Context, claim string, id DeliveryID, due time.Time, reason string) error
}

// DeliveryStore is what people need of the inbox; never what deliveries say.
type DeliveryStore interface {
	Deliveries(ctx context.Context, q DeliveryQuery) ([]DeliveryRecord, error)
	// RelayNow makes those of the deliveries due that wait; DropDeliveries ends
	// those that wait or were given up, as DeliveryDropped, and drops what they
	// say. Both leave out what is not of the region (0: any), are one
	// transaction with its audit, and give how many there were. The error is
	// ErrDeliveryUnknown if there were none.
	RelayNow(ctx context.Context, region RegionID, ids []DeliveryID, now time.Time) (int, error)
	DropDeliveries(ctx context.Context, region RegionID, ids []DeliveryID, now time.Time) (int, error)
}

// RegionStore keeps regions.
type RegionStore interface {
	Regions(ctx context.Context) ([]*Region, error)
	// Region reads one region as it is now, not as this process remembers it.
	// The error is ErrRegionNotFound.
	Region(ctx context.Context, id RegionID) (*Region, error)
	// AddRegion stores a new region and fills ID, Version, Desk and Salt. The
	// error is ErrRegionExists if the slug is taken.
	AddRegion(ctx context.Context, r *Region) error
	// SaveRegion stores all of a region, if its Version is still the stored
	// one (else ErrRegionChanged), and raises the version. A region that is as
	// it was before stays at its version.
	SaveRegion(ctx context.Context, r *Region) error
	// RemoveRegion removes a region with all that belongs to it.
	RemoveRegion(ctx context.Context, id RegionID) error
}

// JobStore is what jobs need: leases, run records and pruning.
type JobStore interface {
	// Lease takes or prolongs the named lease for holder until then; false
	// says that somebody else holds it.
	Lease(ctx context.Context, name, holder string, now, until time.Time) (bool, error)
	// LeaseRun is Lease for a run that a person asked for, and puts that into
	// the audit where the lease was free.
	LeaseRun(ctx context.Context, job, holder string, dryRun bool, now, until time.Time) (bool, error)
	// Leased lists the names of the leases that are held and begin so.
	Leased(ctx context.Context, prefix string, now time.Time) ([]string, error)
	RecordRun(ctx context.Context, run JobRun) error
	Runs(ctx context.Context, q RunQuery) ([]JobRun, error)
	// Prune removes what is older than the cut-offs, in small steps, and counts
	// what it removed; a dry run counts what it would remove. A device that is
	// removed with its last chat is told as a Change with Seq 0.
	Prune(ctx context.Context, c PruneCutoffs, dryRun bool) (counts map[string]int, changes []Change, err error)
}

// ChatCounts are numbers for operators, by region.
type ChatCounts struct {
	Region        RegionID  `json:"-"`
	Slug          string    `json:"region"`
	Chats         int       `json:"chats"`
	Open          int       `json:"open"` // with a ticket that is not closed
	Messages      int       `json:"messages"`
	Queued        int       `json:"queued"`
	Failed        int       `json:"failed"`
	OldestQueued  time.Time `json:"oldest_queued,omitzero"`
	LastMessageAt time.Time `json:"last_message_at,omitzero"`
}

// OverviewStore gives numbers and states, never contents.
type OverviewStore interface {
	ChatCounts(ctx context.Context) ([]ChatCounts, error)
}

// ChangeStore lets the instances of an installation see each other's changes.
type ChangeStore interface {
	// ChangedSince lists the devices whose history changed at or after since
	// (the time that the writer gave as now), each with its newest Seq, and what
	// stands for the staff's rooms (see Change). It needs an index, since it is
	// asked twice a second.
	ChangedSince(ctx context.Context, since time.Time) ([]Change, error)
}

// Store is everything that the wall behind the heart keeps. Rooms ask for the
// part that they need.
type Store interface {
	ChatStore
	FileStore
	LaneStore
	LetterStore
	TicketStore
	WaitingStore
	InboxStore
	DeliveryStore
	RegionStore
	TesterStore
	RightsStore
	JobStore
	OverviewStore
	StatisticsStore
	ChatListStore
	ExperimentStore
	ChangeStore
	AuditStore
	AlertStore
	// Ping says whether the store can be read and written, for readiness.
	Ping(ctx context.Context) error
}
