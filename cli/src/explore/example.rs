//! What two checks have come to: what tests of pages and of test reports begin with. Its texts are hostile.

use super::report::Report;

/// A check that fails in two ways, with a group of every kind, and one that has proved everything.
pub(super) fn reports() -> Vec<Report> {
    serde_json::from_str(REPORTS).expect("they are reports")
}

const REPORTS: &str = r#"[
  {
    "check": "ext4", "verdict": "failed", "groups": 5, "groups_decided": 3, "groups_given_up": 1,
    "states": "1267650600228229401496703205376", "states_log2": 100.0, "decided": "1267650600228229401496703205375",
    "failing": "3", "decided_share": 0.9999999, "failing_share": 0.0, "runs": 12, "reused": 3, "cross_checks": 1,
    "flaky": 0, "timeouts": 0, "undecided": 0, "contradicted": false, "partly": true, "loses_at_most": 1,
    "keeps_at_most": null, "flaky_states": [], "seconds": 2.5,
    "findings": [
      {
        "state": "4^3", "point": 4, "lost": "3", "one_minimal": true, "ended": "exit code 8", "runs": 2, "tried": 2,
        "signature": null, "last_good": null, "first_bad": null, "passing": null, "blocks": [],
        "last_mark": "a<b", "output": "<script>alert(1)</script>\u001b[31m\u202eno superblock",
        "again": "logwrites explore log --check ext4 --state '4^3' && echo \"</pre>\"",
        "lost_writes": [
          {
            "entry": 3, "kind": "write", "sector": 8, "len_bytes": 4096, "names": ["<inode> 12"], "last_mark": "a<b"
          }
        ]
      },
      {
        "state": "99", "point": 99, "lost": "", "one_minimal": false, "ended": "timeout", "runs": 1, "tried": 1,
        "signature": null, "last_good": 98, "first_bad": 99, "passing": null, "blocks": [],
        "last_mark": null, "output": "", "again": "logwrites", "lost_writes": []
      }
    ],
    "by_group": [
      { "point": 2, "units": 1, "is_decided": true, "decided_share": 1.0, "failing_log2": null },
      { "point": 4, "units": 2, "is_decided": true, "decided_share": 1.0, "failing_log2": 1.0 },
      { "point": 9, "units": 3, "is_decided": false, "decided_share": 0.25, "failing_log2": null }
    ]
  },
  {
    "check": "e2fsck <fn>", "verdict": "proved", "groups": 3, "groups_decided": 3, "groups_given_up": 0,
    "states": "12", "states_log2": 3.6, "decided": "12", "failing": "0", "decided_share": 1.0, "failing_share": 0.0,
    "runs": 7, "reused": 0, "cross_checks": 1, "flaky": 0, "timeouts": 0, "undecided": 0, "contradicted": false,
    "partly": false, "loses_at_most": null, "keeps_at_most": null, "flaky_states": [], "seconds": 1.0,
    "findings": [],
    "by_group": [
      { "point": 2, "units": 1, "is_decided": true, "decided_share": 1.0, "failing_log2": null },
      { "point": 4, "units": 1, "is_decided": true, "decided_share": 1.0, "failing_log2": null },
      { "point": 9, "units": 3, "is_decided": true, "decided_share": 1.0, "failing_log2": null }
    ]
  }
]"#;
