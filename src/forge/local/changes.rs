//! One look at many pull requests: their records, and their branches by a single call to the remote.

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
}

impl Inner {
    fn state(&self, record: Record, heads: &BTreeMap<String, CommitId>) -> PullState {
        let head = heads.get(&record.branch);
        let branch_gone = record.state == State::Open && head.is_none();
        let fate = match (record.state, &record.merged) {
            (State::Merged, commit) => {
                PullFate::Merged { commit: commit.clone().unwrap_or_else(|| record.head.clone()) }
            }
            (State::Closed, _) => PullFate::Closed,
            // As on GitHub: without its branch it cannot be merged any more.
            (State::Open, _) => match (head, heads.get(&record.base)) {
                (None, _) => PullFate::Closed,
                // Both: a branch that was only set back is in the base too.
                (Some(head), Some(base)) if self.is_in(head, base) && self.is_in(&record.head, base) => {
                    PullFate::Merged { commit: base.clone() }
                }
                (Some(_), _) => PullFate::Open,
            },
        };
        let head = head.unwrap_or(&record.head).clone();
        PullState { number: record.number, fate, branch: record.branch, head, branch_gone, by: None, author: None }
    }
}
