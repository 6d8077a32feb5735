// Package places ships the place table: which country, kind and legal operator
// each region and zone of AWS, Azure and Google Cloud has.
//
// # What is in it, and what is left out on purpose
//
// table.csv is derived from public maps; table.csv.prov.json says from which,
// at which commit, under which licence, and what was changed. A row whose
// country or kind the maps do not give (staging regions, AWS pilot zones,
// europe-west5) is left out: what is not in the table is unknown and denies.
// Availability zones are left out too, for want of a source.
//
// # Operator and parent
//
// Operator and parent are the country of the contracting operator and the
// country whose law binds its ultimate parent. Both are "US" for all three
// providers, whatever local company signs, as that is the strict reading. The
// exceptions are AWS in China (run by Chinese companies) and the operator, not
// the parent, of the AWS European Sovereign Cloud.
package places

import _ "embed" // for the table

// CSV is the table as residency.ParseTable reads it. Do not change it.
//
//go:embed table.csv
var CSV []byte
