// Package bridge is the heart of Deskbridge: chats, messages, lanes and the
// rules by which they move between a device and a helpdesk.
//
// It knows no HTTP, no SQL and no Zammad. What it needs of the outside it
// declares as small interfaces (Store, Desk, Publisher), which the walls
// implement. File names tell the direction of a message: send.go is from the
// device to the desk, pump.go carries it there, receive.go is the way back.
package bridge
