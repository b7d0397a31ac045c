//! What misuse, odd data, locks, restarts and hanging receivers must not do: one test for each way that
//! was once open.

mod backlogs;
mod copies;
mod default_privileges;
mod encodings;
mod hanging;
mod installations;
mod intervals;
mod json;
mod keys;
mod locks;
mod networks;
mod prepared;
mod queues;
mod replicated;
mod restarts;
mod secrets;
mod site;
mod storage;
mod triggers;
