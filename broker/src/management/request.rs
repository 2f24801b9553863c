//! What an operator can ask. One definition for the command line (`broker ctl`) and for the wire.

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

/// One line on the control socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Of the program that asks; the broker names its own where it does not understand.
    pub version: String,
    /// The vhost for requests that are about one.
    pub vhost: String,
    pub request: Request,
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
pub enum Request {
    #[command(flatten)]
    Look(Look),
    #[command(flatten)]
    List(List),
    #[command(flatten)]
    User(UserCommand),
    #[command(flatten)]
    Vhost(VhostCommand),
    #[command(flatten)]
    Policy(PolicyCommand),
    #[command(flatten)]
    Act(Act),
    #[command(flatten)]
    Transfer(Transfer),
    #[command(flatten)]
    Run(Run),
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
#[command(rename_all = "snake_case")]
pub enum Look {
    /// Version, uptime, listeners, memory, disk, alarms and totals
    Status,
    /// Exit code 0 if the broker keeps its promises; 1 and the reason if it cannot any more
    Health,
    /// Exit code 0 if the broker answers
    Ping,
}

/// Which columns a listing has; without any, the usual ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct Columns {
    /// Columns to show; an unknown one is answered with the list of those there are
    #[arg(value_name = "COLUMN")]
    pub columns: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
#[command(rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "the commands are called so")]
pub enum List {
    /// Queues of a vhost [default columns: name messages]
    ListQueues(Columns),
    /// Exchanges of a vhost [default columns: name type]
    ListExchanges(Columns),
    /// Bindings of a vhost
    ListBindings(Columns),
    /// Open connections [default columns: user peer_host peer_port state]
    ListConnections(Columns),
    /// Open channels [default columns: pid user consumer_count messages_unacknowledged]
    ListChannels(Columns),
    /// Consumers of a vhost
    ListConsumers(Columns),
    /// Users and their tags
    ListUsers(Columns),
    /// Vhosts [default column: name]
    ListVhosts(Columns),
    /// Who may do what in a vhost
    ListPermissions(Columns),
    /// What a user may do in which vhost
    ListUserPermissions {
        user: String,
        #[command(flatten)]
        columns: Columns,
    },
    /// Which routing keys users may use on topic exchanges of a vhost
    ListTopicPermissions(Columns),
    /// Which routing keys a user may use on topic exchanges
    ListUserTopicPermissions {
        user: String,
        #[command(flatten)]
        columns: Columns,
    },
    /// Policies of a vhost, in the order in which they are tried
    ListPolicies(Columns),
    /// Operator policies of a vhost, in the order in which they are tried
    ListOperatorPolicies(Columns),
    /// Limits of a vhost
    ListVhostLimits {
        /// Of all vhosts that have any
        #[arg(long)]
        global: bool,
        #[command(flatten)]
        columns: Columns,
    },
    /// Limits of all users who have any
    ListUserLimits {
        /// Of this user only
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        #[command(flatten)]
        columns: Columns,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
#[command(rename_all = "snake_case")]
pub enum UserCommand {
    /// Add a user, who may not open any vhost yet
    AddUser {
        user: String,
        /// Asked for, or read from standard input, if it is not given: other users of the machine can see arguments
        #[arg(allow_hyphen_values = true)]
        password: Option<String>,
    },
    /// Give a user another password, and close the connections that were opened with the old one
    ChangePassword {
        user: String,
        /// Asked for, or read from standard input, if it is not given
        #[arg(allow_hyphen_values = true)]
        password: Option<String>,
    },
    /// Take a user's password away, and close his connections: he can log in with a certificate only
    ClearPassword { user: String },
    /// Delete a user with his permissions and his queues, and close his connections
    DeleteUser { user: String },
    /// Replace the tags of a user, such as administrator or monitoring; none takes all away
    SetUserTags {
        user: String,
        #[arg(value_name = "TAG")]
        tags: Vec<String>,
    },
    /// Check a password as a login from this machine would
    AuthenticateUser {
        user: String,
        /// Asked for, or read from standard input, if it is not given
        #[arg(allow_hyphen_values = true)]
        password: Option<String>,
    },
    /// Replace what a user may do in a vhost: regular expressions over names of exchanges and queues
    SetPermissions {
        user: String,
        /// Declare and delete
        #[arg(allow_hyphen_values = true)]
        configure: String,
        /// Publish, bind queues
        #[arg(allow_hyphen_values = true)]
        write: String,
        /// Consume, get, purge, bind to exchanges
        #[arg(allow_hyphen_values = true)]
        read: String,
        /// Routing keys, which are queue names, that may be published with on the default exchange [default: any]
        #[arg(long = "publish-keys", value_name = "REGEX", allow_hyphen_values = true)]
        publish_keys: Option<String>,
    },
    /// The same in every vhost that there is now
    SetPermissionsGlobally {
        user: String,
        /// Declare and delete
        #[arg(allow_hyphen_values = true)]
        configure: String,
        /// Publish, bind queues
        #[arg(allow_hyphen_values = true)]
        write: String,
        /// Consume, get, purge, bind to exchanges
        #[arg(allow_hyphen_values = true)]
        read: String,
    },
    /// Take a vhost away from a user, and close his connections to it
    ClearPermissions { user: String },
    /// Restrict the routing keys that a user may use on a topic exchange; {username} and {vhost} may be part of them
    SetTopicPermissions {
        user: String,
        exchange: String,
        /// Routing keys to publish with
        #[arg(allow_hyphen_values = true)]
        write: String,
        /// Routing keys to bind with
        #[arg(allow_hyphen_values = true)]
        read: String,
    },
    /// Allow a user all routing keys again, on one topic exchange or on all
    ClearTopicPermissions { user: String, exchange: Option<String> },
    /// Limit how much a user may use; what is not mentioned stays
    SetUserLimits {
        user: String,
        /// JSON, such as {"max-connections": 5, "max-channels": 50}; a negative number is no limit
        #[arg(value_name = "DEFINITION")]
        definition: String,
    },
    /// Lift limits of a user
    ClearUserLimits {
        user: String,
        /// max-connections, max-channels or all
        limit: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
#[command(rename_all = "snake_case")]
pub enum VhostCommand {
    /// Add a vhost, which nobody may open yet
    AddVhost {
        #[arg(value_name = "VHOST")]
        name: String,
        #[command(flatten)]
        metadata: VhostMetadata,
    },
    /// Change what add_vhost says about a vhost; what is not mentioned stays
    UpdateVhostMetadata {
        #[arg(value_name = "VHOST")]
        name: String,
        #[command(flatten)]
        metadata: VhostMetadata,
    },
    /// Replace the tags of a vhost; none takes all away
    SetVhostTags {
        #[arg(value_name = "VHOST")]
        name: String,
        #[arg(value_name = "TAG")]
        tags: Vec<String>,
    },
    /// Delete a vhost with all queues and messages in it, and close the connections to it
    DeleteVhost {
        #[arg(value_name = "VHOST")]
        name: String,
    },
    /// Limit how much of a vhost may be used; replaces what was set
    SetVhostLimits {
        /// JSON, such as {"max-connections": 100, "max-queues": 1000}; a negative number is no limit
        #[arg(value_name = "DEFINITION")]
        definition: String,
    },
    /// Lift all limits of a vhost
    ClearVhostLimits,
    /// Copy what is published and delivered in a vhost to its exchange amq.rabbitmq.trace, until trace_off or the end
    /// of the broker: costs time and memory
    TraceOn,
    /// End what trace_on began
    TraceOff,
}

/// What is not given is not mentioned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct VhostMetadata {
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    pub description: Option<String>,
    /// Words of yours, separated by commas
    #[arg(long, value_name = "TAGS", value_delimiter = ',')]
    pub tags: Option<Vec<String>>,
    /// classic or quorum: of durable queues whose client does not say; undefined is neither, which is classic
    #[arg(long = "default-queue-type", value_name = "TYPE")]
    pub default_queue_type: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
#[command(rename_all = "snake_case")]
#[expect(clippy::enum_variant_names, reason = "the commands are called so")]
pub enum PolicyCommand {
    /// Set a policy for all queues and exchanges whose names match; in force at once
    SetPolicy(SetPolicy),
    /// Take a policy away
    ClearPolicy { name: String },
    /// Set a policy that bounds what policies and arguments say
    SetOperatorPolicy(SetPolicy),
    /// Take an operator policy away
    ClearOperatorPolicy { name: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct SetPolicy {
    pub name: String,
    /// A regular expression over names
    #[arg(allow_hyphen_values = true)]
    pub pattern: String,
    /// JSON, such as {"max-length": 1000, "overflow": "reject-publish"}; an unknown key is answered with the list of
    /// those there are
    pub definition: String,
    /// Of several policies that match, the one with the highest priority counts
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    pub priority: i64,
    /// queues, classic_queues, quorum_queues, exchanges or all
    #[arg(long = "apply-to", default_value = "all", value_name = "WHAT")]
    pub apply_to: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
#[command(rename_all = "snake_case")]
pub enum Act {
    /// Close a connection, by its pid in list_connections
    CloseConnection {
        pid: u64,
        /// Told to the client
        #[arg(allow_hyphen_values = true)]
        explanation: String,
    },
    /// Close all connections to a vhost
    CloseAllConnections {
        /// To all vhosts
        #[arg(long)]
        global: bool,
        /// No more than so many; 0 is no limit
        #[arg(long, default_value_t = 0)]
        limit: usize,
        /// Told to the clients
        #[arg(allow_hyphen_values = true)]
        explanation: String,
    },
    /// Close all connections of a user
    CloseAllUserConnections {
        user: String,
        /// Told to the clients
        #[arg(allow_hyphen_values = true)]
        explanation: String,
    },
    /// Delete a queue with its messages, whoever it belongs to
    DeleteQueue {
        #[arg(value_name = "QUEUE")]
        name: String,
        /// Only if no message is ready
        #[arg(short = 'e', long = "if-empty")]
        if_empty: bool,
        /// Only if it has no consumers
        #[arg(short = 'u', long = "if-unused")]
        if_unused: bool,
    },
    /// Delete all ready messages of a queue
    PurgeQueue {
        #[arg(value_name = "QUEUE")]
        name: String,
    },
}

/// Definitions as files.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
#[command(rename_all = "snake_case")]
pub enum Transfer {
    /// Write users, vhosts, permissions, policies, exchanges, queues and bindings to a file that RabbitMQ can import too
    ExportDefinitions {
        /// `-` is standard output
        file: String,
        #[command(flatten)]
        format: FileFormat,
    },
    /// Declare what a file says that this broker or RabbitMQ exported: all of it or, if anything in it is wrong, nothing
    ImportDefinitions {
        /// Standard input if it is not given, or `-`
        file: Option<String>,
        #[command(flatten)]
        format: FileFormat,
        /// What is in the file; comes behind the request's line, to the end of the stream.
        #[arg(skip)]
        #[serde(skip)]
        text: String,
    },
}

/// There is one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct FileFormat {
    /// json
    #[arg(long, default_value = "json", value_parser = only_json)]
    pub format: String,
}

fn only_json(format: &str) -> Result<String, String> {
    match format {
        "json" => Ok(format.to_owned()),
        "erlang" => Err("the broker runs no Erlang; files are in JSON (--format json)".to_owned()),
        _ => Err("files are in JSON (--format json)".to_owned()),
    }
}

/// How the broker itself runs.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand, Serialize, Deserialize)]
#[command(rename_all = "snake_case")]
pub enum Run {
    /// End the broker in good order, and wait for it
    #[command(visible_alias = "shutdown")]
    Stop,
    /// Hold publishers from so much memory in messages on, until the broker ends
    SetVmMemoryHighWatermark {
        /// A share of the machine's memory, such as 0.4, or `absolute 2GB`; 0 holds them at once
        #[arg(required = true, num_args = 1..=2, allow_hyphen_values = true)]
        watermark: Vec<String>,
    },
    /// Hold publishers while less of the disk is free, until the broker ends
    SetDiskFreeLimit {
        /// A size, such as 2GB, or `mem_relative 1.5` for a multiple of the machine's memory
        #[arg(required = true, num_args = 1..=2, allow_hyphen_values = true)]
        limit: Vec<String>,
    },
    /// Log more or less, until the broker ends
    SetLogLevel {
        /// debug, info, warning, error or none; or directives such as info,broker::auth=debug
        level: String,
    },
}

impl Request {
    /// The password that is still to be asked for, with the user's name.
    pub fn missing_password(&mut self) -> Option<(&str, &mut Option<String>)> {
        match self {
            Request::User(
                UserCommand::AddUser { user, password }
                | UserCommand::ChangePassword { user, password }
                | UserCommand::AuthenticateUser { user, password },
            ) if password.is_none() => Some((user, password)),
            _ => None,
        }
    }
}
