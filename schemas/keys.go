// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package schemas

// Media types of bpfimg's own content.
const (
	// ArtifactType is the artifactType of the artifact form, so that artifact-aware
	// tools can list bytecode by kind. Images have none: some registries refuse them
	// for it. Those of bpfimg's first releases had it.
	ArtifactType = "application/vnd.bpfimg.bytecode.v1"
	// MediaTypeDescription is the config of the artifact form: a [Description]
	// as compact JSON. It marks the form.
	MediaTypeDescription = "application/vnd.bpfimg.description.v1+json"
	// MediaTypeObject is a layer of the artifact form: one ELF file as it is. Its
	// file name is the layer's org.opencontainers.image.title annotation.
	MediaTypeObject = "application/vnd.bpfimg.object.v1"
)

// MaxDescription is the largest [Description] readers take, as JSON in bytes: two
// thousand programs of 500 bytes.
const MaxDescription = 1 << 20

// Media types of Sigstore and cosign content.
const (
	// MediaTypeBundle is a Sigstore bundle v0.3
	// (sigstore/protobuf-specs, sigstore_bundle.proto).
	MediaTypeBundle = "application/vnd.dev.sigstore.bundle.v0.3+json"
	// MediaTypeSimpleSigning is the payload layer of a cosign 2 signature
	// (sigstore/cosign, specs/SIGNATURE_SPEC.md).
	MediaTypeSimpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"
	// MediaTypeEnvelope is a DSSE envelope, the layer of an attestation of cosign
	// 2 (sigstore/cosign, specs/ATTESTATION_SPEC.md).
	MediaTypeEnvelope = "application/vnd.dsse.envelope.v1+json"
	// PredicateCosignSign marks an in-toto statement as an image signature, the
	// only predicate type that counts as one (sigstore/cosign, pkg/types).
	PredicateCosignSign = "https://sigstore.dev/cosign/sign/v1"
	// AnnotationCosignSignature carries the base64 signature of a cosign 2
	// payload layer (sigstore/cosign, specs/SIGNATURE_SPEC.md).
	AnnotationCosignSignature = "dev.cosignproject.cosign/signature"
	// AnnotationCosignCertificate is the signer's certificate in PEM,
	// AnnotationCosignBundle the entry of a Rekor log and
	// AnnotationCosignTimestamp an RFC 3161 timestamp, both in JSON
	// (sigstore/cosign, pkg/oci/static/signature.go).
	AnnotationCosignCertificate = "dev.sigstore.cosign/certificate"
	AnnotationCosignBundle      = "dev.sigstore.cosign/bundle"
	AnnotationCosignTimestamp   = "dev.sigstore.cosign/rfc3161timestamp"
)

// Keys of the eBPF bytecode image specification, which bpfman reads. Both are
// always present, "{}" when there is nothing to say.
const (
	// LabelPrograms is a JSON object: program name → type.
	LabelPrograms = "io.ebpf.programs"
	// LabelMaps is a JSON object: map name → type.
	LabelMaps = "io.ebpf.maps"
)

// Keys of the older bytecode image labels: one program an image.
const (
	LabelOldProgramType = "io.ebpf.program_type"
	LabelOldProgramName = "io.ebpf.program_name"
	LabelOldFilename    = "io.ebpf.filename"
	LabelOldSectionName = "io.ebpf.section_name"
	// LabelOldFunctionName came after section_name: the program's C function.
	LabelOldFunctionName = "io.ebpf.bpf_function_name"
)

// bpfimg's own keys, used as config labels and, but for the first, as manifest
// annotations too.
const (
	// LabelDescription is the whole [Description] as compact JSON, in images of
	// bpfimg's first releases as an annotation, too. In the artifact form the config is
	// the Description, and no label repeats it.
	LabelDescription = "dev.bpfimg.description"
	// LabelHooks is a JSON object: program name → [ProgramHook].
	LabelHooks = "dev.bpfimg.programs"
	// LabelCompiler is what the compiler says it is, when bpfimg compiled the
	// objects from their sources.
	LabelCompiler = "dev.bpfimg.compiler"
	// AnnotationPlatform is "os/arch[/variant]", on the manifest of the artifact
	// form only: an image has the same in its config.
	AnnotationPlatform = "dev.bpfimg.platform"
)

// ProgramHook is what [LabelHooks] says of one program.
type ProgramHook struct {
	Type    string `json:"type"`
	Section string `json:"section"`
	Hook    string `json:"hook,omitempty"`
	Target  string `json:"target,omitempty"`
}
