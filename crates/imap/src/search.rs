//! What SEARCH, SORT and THREAD look for (RFC 9051 §6.4.4, RFC 5256, and WITHIN, CONDSTORE, OBJECTID).

use crate::{Numbers, SequenceSet};

/// A day without a zone, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Date {
    /// The year.
    pub year: u16,
    /// The month, from 1.
    pub month: u8,
    /// The day, from 1 to 31; whether the month has it is not checked.
    pub day: u8,
}

/// A criterion. Strings are octets in the search's charset.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the words of RFC 9051 §6.4.4")]
pub enum SearchKey {
    All,
    Answered,
    Bcc(Vec<u8>),
    Before(Date),
    Body(Vec<u8>),
    Cc(Vec<u8>),
    Deleted,
    Draft,
    Flagged,
    From(Vec<u8>),
    Header(String, Vec<u8>),
    Keyword(String),
    Larger(u64),
    /// Of revision 1: recent and unseen.
    New,
    Not(Box<SearchKey>),
    /// Of revision 1: not recent.
    Old,
    On(Date),
    Or(Box<SearchKey>, Box<SearchKey>),
    /// Of revision 1.
    Recent,
    Seen,
    SentBefore(Date),
    SentOn(Date),
    SentSince(Date),
    Since(Date),
    Smaller(u64),
    Subject(Vec<u8>),
    Text(Vec<u8>),
    To(Vec<u8>),
    Uid(SequenceSet),
    Unanswered,
    Undeleted,
    Undraft,
    Unflagged,
    Unkeyword(String),
    Unseen,
    /// Messages by number.
    Numbers(SequenceSet),
    /// Messages by UID, after it was found out which are meant: no client writes this, the session makes it of the two others.
    Among(Numbers),
    /// All of these: what stands in parentheses, or beside each other.
    And(Vec<SearchKey>),
    /// Changed since, with this mod-sequence at least (RFC 7162 §3.1.5).
    ModSeq(u64),
    /// Arrived this many seconds ago at the earliest (RFC 5032).
    Younger(u32),
    /// Arrived this many seconds ago at the latest (RFC 5032).
    Older(u32),
    /// With this identifier (RFC 8474).
    EmailId(String),
    /// In this thread (RFC 8474).
    ThreadId(String),
}

/// What SEARCH RETURN asks for (RFC 9051 §6.4.4, RFC 4731, RFC 5182).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SearchReturn {
    /// The least number.
    Min,
    /// The largest number.
    Max,
    /// All of them.
    All,
    /// How many.
    Count,
    /// Nothing, but to be remembered as `$`.
    Save,
}

/// One criterion of SORT (RFC 5256 §3, RFC 5957).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SortCriterion {
    /// By what.
    pub key: SortKey,
    /// From the largest on.
    pub reverse: bool,
}

/// By what SORT sorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are the words of RFC 5256 §3 and RFC 5957")]
pub enum SortKey {
    Arrival,
    Cc,
    Date,
    DisplayFrom,
    DisplayTo,
    From,
    Size,
    Subject,
    To,
}

/// How THREAD threads (RFC 5256 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ThreadAlgorithm {
    /// By subject.
    OrderedSubject,
    /// By References and In-Reply-To.
    References,
}
