// Package places ships the place table: which country, kind and legal operator
// each region and zone of AWS, Azure and Google Cloud has.
//
// # What is in it, and what is left out on purpose
//
// table.csv has a section for each kind of row, begun by its header: the
// edition, memberships of countries in groups with their days, names that
// providers call countries by, what the IDs of a region's zones begin with,
// other names of places, and the places. Each row says where it was read, and
// says so if that was nobody's document but memory; table.csv.prov.json says
// from which public maps, at which commit, under which licence, and what was
// changed. A place whose country or kind the sources do not give (staging
// regions, AWS pilot zones, europe-west5, availability zones outside AWS's
// largest partition) is left out: what is not in the table is unknown and
// denies.
//
// # Operator, parent and keys
//
// Operator, parent and keys are the country of the contracting operator, the
// country whose law binds its ultimate parent, and the country of who holds the
// keys to the disks if nobody arranged otherwise. All are "US" for all three
// providers, whatever local company signs, as that is the strict reading. The
// exceptions are AWS in China (run by Chinese companies) and the operator and
// keys, not the parent, of the AWS European Sovereign Cloud.
//
// # Groups
//
// EU and EEA are unions; ADEQUATE are countries with a decision under Art. 45
// GDPR for all or nearly all recipients; CA-PIPEDA and US-DPF are decisions for
// some recipients only, so a rule that relies on them must know more than the
// place.
package places

import _ "embed" // for the table

// CSV is the table as residency.ParseTable reads it. Do not change it.
//
//go:embed table.csv
var CSV []byte
