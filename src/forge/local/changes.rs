//! One look at many pull requests: their records, and their branches by a single call to the remote.
//!
//! A base that moved is fetched besides, once: whether a merge came about whose answer was lost is told by its commits.

use std::collections::BTreeMap;

use super::records::{Record, State};
use super::{Inner, Local};
use crate::forge::{ForgeError, PullState};
use crate::ids::CommitId;
use crate::thread::outside::PullFate;

impl Local {
    pub(super) async fn look(&self, numbers: &[u64]) -> Result<Vec<PullState>, ForgeError> {
        let wanted = numbers.to_vec();
        let records = self.blocking(move |inner| {
            let records = inner.records()?.into_iter().filter(|record| wanted.contains(&record.number));
            Ok(records.collect::<Vec<_>>())
        });
        // The records first: a branch is pushed before its record is made.
        let records = records.await?;
        let open = records.iter().filter(|record| record.state == State::Open);
        let mut branches: Vec<String> = open.flat_map(|record| [record.branch.clone(), record.base.clone()]).collect();
        branches.sort_unstable();
        branches.dedup();
        let heads = self.heads(branches).await?;
        let heads = self.fetch_bases(&records, heads).await?;
        self.blocking(move |inner| Ok(records.into_iter().map(|record| inner.state(record, &heads)).collect())).await
    }

    async fn heads(&self, branches: Vec<String>) -> Result<BTreeMap<String, CommitId>, ForgeError> {
        match &self.0.upstream {
            _ if branches.is_empty() => Ok(BTreeMap::new()),
            Some(upstream) => upstream.heads(&branches).await,
            None => {
                let find = move |inner: &Inner| {
                    let head = |branch: String| Ok(inner.local_head(&branch)?.map(|head| (branch, head)));
                    branches.into_iter().filter_map(|branch| head(branch).transpose()).collect()
                };
                self.blocking(find).await
            }
        }
    }

    /// Has the commits of these records' bases here. One that cannot be fetched is looked at again in the next round.
    async fn fetch_bases(
        &self,
        records: &[Record],
        mut heads: BTreeMap<String, CommitId>,
    ) -> Result<BTreeMap<String, CommitId>, ForgeError> {
        let Some(upstream) = &self.0.upstream else { return Ok(heads) };
        let open = records.iter().filter(|record| record.state == State::Open);
        let mut bases: Vec<_> = open.filter_map(|record| heads.get_key_value(&record.base)).collect();
        bases.sort_unstable();
        bases.dedup();
        let bases: Vec<(String, CommitId)> =
            bases.into_iter().map(|(base, head)| (base.clone(), head.clone())).collect();
        let missing = self.blocking(move |inner| {
            Ok(bases.into_iter().filter(|(_, head)| !inner.has(head)).map(|(base, _)| base).collect::<Vec<_>>())
        });
        for base in missing.await? {
            match upstream.head(&base).await {
                Ok(Some(head)) => drop(heads.insert(base, head)),
                Ok(None) => drop(heads.remove(&base)),
                Err(error) => tracing::warn!(base, error = error.what, "a base that moved could not be fetched"),
            }
        }
        Ok(heads)
    }
}

impl Inner {
    fn state(&self, record: Record, heads: &BTreeMap<String, CommitId>) -> PullState {
        let (head, base) = (heads.get(&record.branch), heads.get(&record.base));
        let branch_gone = record.state == State::Open && head.is_none();
        let mut merged_head = None;
        let fate = match (record.state, &record.merged) {
            (State::Merged, commit) => {
                PullFate::Merged { commit: commit.clone().unwrap_or_else(|| record.head.clone()) }
            }
            (State::Closed, _) => PullFate::Closed,
            // First: a merge that nobody could tell us of may have lost its branch since.
            (State::Open, _) => match (base.and_then(|base| self.squashed(&record, head, base)), head, base) {
                (Some((commit, merged)), _, _) => {
                    merged_head = Some(merged);
                    PullFate::Merged { commit }
                }
                // As on GitHub: without its branch it cannot be merged any more.
                (None, None, _) => PullFate::Closed,
                // Both: a branch that was only set back is in the base too.
                (None, Some(head), Some(base)) if self.is_in(head, base) && self.is_in(&record.head, base) => {
                    PullFate::Merged { commit: base.clone() }
                }
                (None, Some(_), _) => PullFate::Open,
            },
        };
        let head = merged_head.as_ref().or(head).unwrap_or(&record.head).clone();
        PullState { number: record.number, fate, branch: record.branch, head, branch_gone, by: None, author: None }
    }
}
