// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas

import "time"

// InstanceVersion is the version of the [Instance] record this package writes.
const InstanceVersion = 1

// Instance records where a running program came from. The kernel and bpffs
// hold the truth about what runs; `bpfimg ps` compares the two.
type Instance struct {
	SchemaVersion int    `json:"schemaVersion"`
	Name          string `json:"name"`
	// State is "starting" from before the first pin until everything is
	// attached, then "running", and "stopping" from the first step of a stop. A
	// record left at "starting" or "stopping" means that the command was killed
	// half-way and the rest is to be undone. "updating" is an instance of which
	// another version is being put in place; see Update.
	State string `json:"state"`
	// Reference as the person typed it; Digest of the image manifest that was
	// loaded.
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
	// IndexDigest is that of the index the image was chosen from, Version what the
	// image says of itself; both may be empty. An update refuses a lower version.
	IndexDigest string `json:"indexDigest,omitempty"`
	Version     string `json:"version,omitempty"`
	// Objects are the digests of the image's ELF files, in load order: a policy can
	// deny one of them.
	Objects []string `json:"objects,omitempty"`
	// Signers says who was proven to have signed Digest; empty only when
	// verification was skipped on purpose (Unverified).
	Signers    []Signer `json:"signers,omitempty"`
	Unverified bool     `json:"unverified,omitempty"`
	// Foreground marks a run that pins nothing and ends with its process.
	Foreground bool `json:"foreground,omitempty"`
	// Started is when run finished, UTC. BootID is the kernel's boot id
	// (random(4), /proc/sys/kernel/random/boot_id) at that time: pins of another
	// boot are gone.
	Started time.Time `json:"started"`
	BootID  string    `json:"bootId"`
	// Updated is when the last update finished, UTC, and PreviousDigest the image
	// that ran before it; absent without one.
	Updated        *time.Time `json:"updated,omitempty"`
	PreviousDigest string     `json:"previousDigest,omitempty"`
	// Update is there while State is "updating", and in what a killed update left.
	Update *InstanceUpdate `json:"update,omitempty"`
	// PinPath is the bpffs folder that holds this instance's pins.
	PinPath string `json:"pinPath"`
	// Variables are the values that were set over those in the objects, and
	// MaxEntries the sizes of maps, by the names that were given; an update can
	// apply them again.
	Variables  []VariableSetting `json:"variables,omitempty"`
	MaxEntries map[string]uint32 `json:"maxEntries,omitempty"`
	// MapMode is the mode of the maps' pins in octal ("0660") and MapGroup the
	// group they belong to, as it was given; empty when they are root's alone.
	MapMode  string `json:"mapMode,omitempty"`
	MapGroup string `json:"mapGroup,omitempty"`
	// Programs, Maps and Links in load order.
	Programs []InstanceProgram `json:"programs"`
	Maps     []InstanceMap     `json:"maps"`
	Links    []InstanceLink    `json:"links"`
}

// InstanceUpdate is what an instance's record says of an update on its way. Both
// versions are in the kernel meanwhile.
type InstanceUpdate struct {
	// Committed says which version an interrupted update ends with: the one that
	// ran before (false), or the new one.
	Committed bool `json:"committed"`
	// Swapped names the programs whose attachment both versions have: the kernel
	// exchanges the program there.
	Swapped []string `json:"swapped,omitempty"`
	// Other is the version that the record itself does not describe: the new one
	// until Committed, and the one before from then on. It has no Update.
	Other Instance `json:"other"`
}

// Kinds of [Signer].
const (
	SignerKey      = "key"
	SignerIdentity = "identity"
)

// Signer is one proven signature.
type Signer struct {
	// Kind is [SignerKey], or [SignerIdentity] for a certificate.
	Kind string `json:"kind"`
	// KeyID is "sha256:<hex>" of the public key in PKIX DER form.
	KeyID string `json:"keyId,omitempty"`
	// KeyFile is the path the key was read from, as the person gave it.
	KeyFile string `json:"keyFile,omitempty"`
	// Issuer, Subject, SourceRepository, SourceRef and Workflow are those of the
	// certificate; see [PolicyIdentity].
	Issuer           string `json:"issuer,omitempty"`
	Subject          string `json:"subject,omitempty"`
	SourceRepository string `json:"sourceRepository,omitempty"`
	SourceRef        string `json:"sourceRef,omitempty"`
	Workflow         string `json:"workflow,omitempty"`
	// CertificateKey is the id, as KeyID, of the key that the certificate is for.
	CertificateKey string `json:"certificateKey,omitempty"`
	// TrustedRoot is "sha256:<hex>" of the trusted root file that the certificate,
	// SignedAt and Logged were judged by; empty without any of them.
	TrustedRoot string `json:"trustedRoot,omitempty"`
	// SignedAt is the earliest proven time of signing, nil when none was looked
	// for; Logged says that an entry of a transparency log was verified.
	SignedAt *time.Time `json:"signedAt,omitempty"`
	Logged   bool       `json:"logged,omitempty"`
	// Format is "bundle" or "legacy", Digest that of the referrer manifest.
	Format string `json:"format"`
	Digest string `json:"digest,omitempty"`
}

// InstanceProgram is one loaded program.
type InstanceProgram struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// ID is the kernel's program id, Tag the kernel's tag: 16 hex digits.
	ID  uint32 `json:"id"`
	Tag string `json:"tag,omitempty"`
	Pin string `json:"pin,omitempty"`
}

// InstanceMap is one map the programs use.
type InstanceMap struct {
	Name string `json:"name"`
	Type string `json:"type"`
	ID   uint32 `json:"id"`
	// MaxEntries is the size in effect, as the kernel tells it.
	MaxEntries uint32 `json:"maxEntries,omitempty"`
	Pin        string `json:"pin,omitempty"`
	// Shared says whose map it is when it was not made for this instance: the
	// path of a pin, or the name of the instance. It outlives this one as long as
	// they hold it.
	Shared string `json:"shared,omitempty"`
}

// VariableSetting is a value for a global variable, as `--set NAME=VALUE` gives
// it.
type VariableSetting struct {
	// Name of the variable; FILE/NAME when several objects have one of that name,
	// FILE being the object's name without ".bpf.o".
	Name string `json:"name"`
	// Value as text, see package internal/btfvalue.
	Value string `json:"value"`
}

// InstanceLink is one attachment.
type InstanceLink struct {
	Program string `json:"program"`
	Hook    string `json:"hook"`
	Target  string `json:"target,omitempty"`
	// Map is the map to attach to or that is attached, for hooks on maps.
	Map string `json:"map,omitempty"`
	// MapID is the kernel's id of Map, once the program is attached to it.
	MapID uint32 `json:"mapId,omitempty"`
	// Options in effect, including what was chosen for the person
	// ("mode=generic").
	Options map[string]string `json:"options,omitempty"`
	// Asked says that the person named the place, with --attach or --iface. An
	// update keeps such a place whatever the new image says.
	Asked bool `json:"asked,omitempty"`
	// Via says how the kernel holds it: "link" (a pinned bpf_link), "netlink" (a
	// tc filter, a route: needs no pin), "dispatcher" (one of the XDP programs of
	// an interface, by links that are pinned where all users of libxdp have them),
	// "map" (attached to a map), "process" (by the process of a foreground run), or
	// "once" (it has run, and is attached to nothing).
	Via string `json:"via"`
	// Frags says, for Via "dispatcher", that the program takes packets in several
	// buffers, which the kernel does not tell of a component.
	Frags bool `json:"frags,omitempty"`
	// Ifindex is the interface's index for network hooks, and Netns the inode of
	// the network namespace it counts in (stat of /proc/self/ns/net).
	Ifindex uint32 `json:"ifindex,omitempty"`
	Netns   uint64 `json:"netns,omitempty"`
	// NetnsPath is a file of that namespace, when it is not the one bpfimg ran in.
	NetnsPath string `json:"netnsPath,omitempty"`
	// CreatedQdisc says that the clsact qdisc of the interface is ours to remove
	// once no filter uses it.
	CreatedQdisc bool `json:"createdQdisc,omitempty"`
	// ID is the kernel's link id for Via "link", Pin where it is pinned.
	ID  uint32 `json:"id,omitempty"`
	Pin string `json:"pin,omitempty"`
	// Order is where the program was put among those of the same place, when it
	// was attached; nil where it was not asked for and where there is no order.
	Order *InstanceOrder `json:"order,omitempty"`
	// More are the further links of an attachment that is several ("perf_event":
	// one for each CPU), without the first, which is ID and Pin.
	More []InstanceLinkPart `json:"more,omitempty"`
	// Notices are sentences for the person ("eth0 has no native XDP, …").
	Notices []string `json:"notices,omitempty"`
}

// InstanceOrder is a place in the list of programs that the kernel runs one after
// the other.
type InstanceOrder struct {
	// Position counts from 1, Of is how many there were with this one.
	Position int `json:"position"`
	Of       int `json:"of"`
}

// Parts are all links of the attachment, first [InstanceLink.ID] and Pin and then
// More. There is always at least one; its ID is 0 when no link is known.
func (l InstanceLink) Parts() []InstanceLinkPart {
	return append([]InstanceLinkPart{{ID: l.ID, Pin: l.Pin}}, l.More...)
}

// InstanceLinkPart is one of several links of one attachment.
type InstanceLinkPart struct {
	// ID is the kernel's link id, Pin where the link is pinned.
	ID  uint32 `json:"id,omitempty"`
	Pin string `json:"pin,omitempty"`
}
