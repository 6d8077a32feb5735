package frame

// Entries returns every registered code in order, each with its cause and its
// remedy. Words here are for the person who has the error before them.
func Entries() []Entry {
	all := []Entry{}
	for _, set := range [][]Entry{local(), data(), reach(), life(), refusals(), evidence()} {
		for _, e := range set {
			e.Exit = exitOf(e.Code)
			all = append(all, e)
		}
	}
	return all
}

func local() []Entry {
	return []Entry{
		{Code: Failed, Cause: "the command was understood, tried and did not succeed",
			Remedy: "read the message; nothing was half done that the log does not show"},
		{Code: BadConfig, Cause: "a configuration file says something this version does not understand",
			Remedy: "correct the lines shown; the files in configs/ are complete, commented examples"},
		{Code: FileMissing, Cause: "a file or directory that was named does not exist or cannot be read",
			Remedy: "check the path and its permissions; relative paths start at the file that names them"},
		{Code: FileFailed, Cause: "a file or directory could not be made, written or put in its place",
			Remedy: "check the path, who owns it, and what is there already"},
		{Code: DiskFull, Cause: "the log or the state could not be written, so nothing further was done",
			Remedy: "free space and start again; the state is read back from the log"},
		{Code: StateLocked, Cause: "another process owns this state directory",
			Remedy: "stop the other process, or name another directory"},
		{Code: PortTaken, Cause: "the address to listen on is in use or not of this machine",
			Remedy: "choose another address in the configuration, or stop what holds it"},
		{Code: KeyMissing, Cause: "a key that is needed to sign or to verify is not there, or others may read it",
			Remedy: "run burstctl keys init, point the configuration at the key, or chmod 0600 it"},
		{Code: CheckFailed, Cause: "doctor found what keeps this installation from working",
			Remedy: "do what the column fix of each failed row says, the topmost first"},
	}
}

func data() []Entry {
	return []Entry{
		{Code: BadRules, Cause: "a residency or role rule does not parse or names what does not exist",
			Remedy: "correct the line shown; until then the rules in force stay in force"},
		{Code: BadPlaces, Cause: "the table of places does not parse or its signature does not verify",
			Remedy: "restore the signed table, or sign the new one with a places key"},
		{Code: BadCatalogue, Cause: "the catalogue of datasets does not parse or contradicts itself",
			Remedy: "correct the lines shown; a dataset needs a class, an origin and a purpose"},
		{Code: SliceMissing, Cause: "the slice is not in the catalogue, or it or the program is not on site",
			Remedy: "check dataset/slice and the directory the catalogue gives it; edge-connector digest names a program"},
		{Code: SliceChanged, Cause: "a file of the slice is not what its manifest says",
			Remedy: "publish the slice again under a new manifest; the old grant never covers new bytes"},
		{Code: SliceRefused, Cause: "the slice cannot be made, as the catalogue asks for it, of the files that are there",
			Remedy: "the reason names the file, column or row; correct the catalogue, or give changed files a new version"},
		{Code: CasesFailed, Cause: "the rules answer a case otherwise than it says, or leave a policy without one",
			Remedy: "correct the rules or the case; burstctl residency explain says why a case came out as it did"},
	}
}

func reach() []Entry {
	return []Entry{
		{Code: ControlAway, Cause: "the controller cannot be reached",
			Remedy: "check the address, the CA and that burstctl controller runs; nothing new is served meanwhile"},
		{Code: NATSAway, Cause: "the NATS server cannot be reached",
			Remedy: "check the address and that it runs; requests are announced again, so none is lost"},
		{Code: VaultAway, Cause: "Vault cannot be reached",
			Remedy: "check the address and the CA; no credential is issued until it answers"},
		{Code: VaultSealed, Cause: "Vault is sealed",
			Remedy: "unseal it; running grants end by themselves, none is renewed meanwhile"},
		{Code: EdgeAway, Cause: "the edge of the site cannot be reached",
			Remedy: "check edge-connector on the site; nothing is served without its signature"},
		{Code: BucketAway, Cause: "the store on site that the dataset's bucket is on does not answer, or broke off",
			Remedy: "check the store and the endpoint in the catalogue, and build the slice again"},
	}
}

func life() []Entry {
	return []Entry{
		{Code: LaunchFailed, Cause: "the provider did not make the node",
			Remedy: "see burstctl why for each attempt; the reservation is returned when absence is proven"},
		{Code: NodeLost, Cause: "the node stopped answering before its job ended",
			Remedy: "the lease ends it; the job goes back to the queue with its last checkpoint"},
		{Code: JobFailed, Cause: "the job's own program ended with an error",
			Remedy: "read its output; the burst itself was torn down in order"},
		{Code: NoBurstYet, Cause: "no burst was asked for this job: it waits on its site",
			Remedy: "burstctl status shows it, edge-connector gpus shows whether the site is saturated"},
		{Code: ProbeAccepted, Cause: "a revoked credential was still accepted",
			Remedy: "stop the edge connector and treat it as an incident; the log says since when"},
		{Code: NotSwept, Cause: "a cloud could not be asked for our nodes, or a node could not be ended",
			Remedy: "mend what its row says, the credentials first, and sweep again"},
		{Code: NoNVML, Cause: "the NVIDIA management library is not there or does not answer",
			Remedy: "install the driver, or use sampler kind replay; without samples nothing bursts"},
		{Code: Canceled, Cause: "the command was interrupted or declined",
			Remedy: "run it again to resume; what was begun is in the log"},
	}
}

func refusals() []Entry {
	return []Entry{
		{Code: ResidencyDenied, Cause: "no residency rule allows this data at that place, or one forbids it",
			Remedy: "see burstctl why for the rule and the nearest permitted alternative"},
		{Code: ViolationFound, Cause: "the log shows what its rules and promises exclude",
			Remedy: "read the entries it names: burstctl audit list shows them in words"},
		{Code: NotProven, Cause: "the node did not prove where it is",
			Remedy: "see its evidence in the log; a claimed place never stands in for a proven one"},
		{Code: PlanMoved, Cause: "rules, places or the place a job would go to are not those of the plan",
			Remedy: "plan again and look at what it says now"},
		{Code: Malformed, Cause: "the control endpoint could not read what was sent to it",
			Remedy: "use the same version of burstctl on both sides"},
		{Code: NotKnown, Cause: "who asks could not be established",
			Remedy: "present a client certificate of the trust domain or a fresh token"},
		{Code: GrantRefused, Cause: "the controller refuses this node or this grant",
			Remedy: "see burstctl why and the log for what was refused; a node never argues"},
		{Code: NotAllowed, Cause: "no role of the one who asks permits this",
			Remedy: "ask an operator for the role; the roles file says who may do what"},
		{Code: NoSuchClaim, Cause: "the claim or job that was named is not known",
			Remedy: "run burstctl status for the names that are"},
		{Code: NoSuchSite, Cause: "the controller has no site of that name",
			Remedy: "name a site of the controller's configuration; the message lists them"},
		{Code: VaultRefused, Cause: "Vault refused the request",
			Remedy: "check the AppRole, its policy and the PKI role against the README"},
		{Code: RequestForged, Cause: "a request is unsigned, signed by another, too old or seen before",
			Remedy: "check the edge key in the controller's sites and both clocks"},
		{Code: ReleaseRefused, Cause: "the result cannot be let out of quarantine by this person as it stands",
			Remedy: "burstctl artefacts lists what a site holds; who handed a job in cannot release its results"},
		{Code: GlassRefused, Cause: "the exception cannot be asked for, approved, ended or reviewed so, or by this person",
			Remedy: "burstctl breakglass show prints it; two approve who did not ask, and another one reviews it"},
		{Code: BucketDenied, Cause: "the store does not let the edge's access keys read the dataset's bucket",
			Remedy: "check keys of its endpoint in edge.yaml, and that they may list and get; and this host's clock"},
		{Code: NoOffer, Cause: "no offer is left that nothing speaks against",
			Remedy: "see burstctl why: every offer is listed with the first reason against it"},
		{Code: NoCapacity, Cause: "the provider has no such machine free now",
			Remedy: "wait or allow another place; the offer is tried again after its cool-down"},
		{Code: QuotaReached, Cause: "a quota of the provider account is used up",
			Remedy: "ask the provider for more, or allow another region"},
		{Code: OverBudget, Cause: "the worst case costs more than the job or the team has left",
			Remedy: "shorten the lease, raise the budget, or wait until reservations settle"},
		{Code: PriceUnknown, Cause: "the price of an offer, or its date, is unknown",
			Remedy: "add the price with its date to the offers table"},
		{Code: BudgetAlert, Cause: "what is reserved and spent of a budget has passed a threshold; nothing was stopped",
			Remedy: "see \"Runaway cost\" in docs/runbooks.md; burstctl cost LOG --by team,job says who spends"},
		{Code: PlanPrice, Cause: "what would be reserved differs from the plan by more than was allowed",
			Remedy: "plan again, or allow more with --max-move"},
		{Code: PlanOld, Cause: "the plan is past the time until which it may be applied",
			Remedy: "plan again: prices and capacity of then say nothing of now"},
	}
}

func evidence() []Entry {
	return []Entry{
		{Code: LogUnverified, Cause: "the log is not what its signed checkpoint says",
			Remedy: "keep the directory as it is, compare it with a backup, and tell whoever reviews the log"},
		{Code: ReceiptUnproven, Cause: "a receipt does not prove that its grant is in the log",
			Remedy: "fetch it again; if it still fails, serve nothing and verify the log"},
		{Code: WitnessRefused, Cause: "the witness has seen a larger or another tree",
			Remedy: "do not go on with an older copy; restore the newest state or find out who holds the other tree"},
		{Code: TrustMissing, Cause: "the trust file is missing or names no key that signed",
			Remedy: "give --trust a file you got from a person, never from the log's own directory"},
		{Code: DocumentRefused, Cause: "a machine's identity document does not verify",
			Remedy: "the message begins with the check that failed; docs/attestation.md says what each one means"},
		{Code: SealUnproven, Cause: "an exception is not signed by two approvers whose keys were named",
			Remedy: "name their keys with --approver; burstctl breakglass show ID --sealed writes it as it was signed"},
		{Code: PlanForged, Cause: "the plan is not as the controller signed it, or another one signed it",
			Remedy: "apply the file that plan --write made, at the controller that made it"},
		{Code: Usage, Cause: "the command line is not one this command understands",
			Remedy: "add --help to see flags and verbs"},
	}
}
