// Between core::VolumeRecord and its stored forms: the etcd value records/<id>, and the catalog
// bytes that each replica keeps (R11). Bytes that don't parse are an Outcome with kCorrupt, never a
// crash.
//
// Threading: pure functions.
#pragma once

#include <string>
#include <string_view>

#include "api/meta.pb.h"
#include "control/failure.h"
#include "core/types.h"

namespace cleat::control {

meta::Replica to_proto(const core::ReplicaRecord& replica);
meta::VolumeRecord to_proto(const core::VolumeRecord& record);
// kCorrupt: a state, index or count that no version of Cleat writes.
Outcome<core::ReplicaRecord> from_proto(const meta::Replica& replica);
Outcome<core::VolumeRecord> from_proto(const meta::VolumeRecord& record);

std::string encode_record(const core::VolumeRecord& record);
Outcome<core::VolumeRecord> decode_record(std::string_view bytes);

// Catalog bytes: the record, and the spec as opaque bytes.
std::string catalog_record(std::string_view spec, const core::VolumeRecord& record);
// `catalog` may be empty or damaged: then the other half is empty.
std::string replace_record(std::string_view catalog, const core::VolumeRecord& record);
std::string replace_spec(std::string_view catalog, std::string_view spec);

struct CatalogContents {
  core::VolumeRecord record;
  meta::VolumeSpec spec;  // empty name: the spec was never stored
};
Outcome<CatalogContents> decode_catalog(std::string_view catalog);
// Empty when the bytes don't parse.
std::string catalog_spec(std::string_view catalog);

}  // namespace cleat::control
