//! The command line as one table: clap derives the parser, `--help` and the shell completions from it.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

use crate::{Growth, RetryDelays};

/// A whole Kubernetes and a whole Lambda-style platform in one binary.
#[derive(Parser, Debug)]
#[command(name = "dory", version, propagate_version = true, max_term_width = 100)]
pub struct Args {
    /// Where the platform keeps everything it owns [default: /var/lib/dory for root, else ~/.local/share/dory]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

/// What `dory` can be asked to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Start the platform on this machine
    Up(Up),
    /// Stop the platform and everything it runs; the data directory stays
    Down(Down),
    /// Show what runs, where it listens and what it uses
    Status,
    /// Print shell exports that point kubectl and the aws CLI at this platform
    Env,
    /// Deploy manifests, a function directory or a single binary; PATH says by itself which it is
    Deploy(Deploy),
    /// Print the logs of a function, or of a pod, deployment or job
    Logs(Logs),
    /// Show what nodes, pods and functions use now
    Top(Top),
    /// Show what each workload costs as it is, and what it would cost always-on or on demand
    Cost(Cost),
    /// Show where the time of a function's last cold start went
    TraceColdStart {
        /// Name of the function
        function: String,
    },
    /// Run a function runtime in an image: add, list, remove
    #[command(subcommand)]
    Runtime(Runtime),
    /// Build, import, load, pull, list and remove container images
    #[command(subcommand)]
    Image(Image),
    /// Check what this host offers and say how to mend what is missing
    Doctor,
    /// Print a completion script for a shell
    Completion {
        /// bash, zsh, fish, elvish or powershell
        shell: clap_complete::Shell,
    },
}

/// `dory up`
#[derive(ClapArgs, Debug, Clone)]
pub struct Up {
    /// Return as soon as the platform is ready and leave it running in the background
    #[arg(long)]
    pub detach: bool,
    /// Number of nodes to run in this process (only 1 is supported yet)
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=1))]
    pub nodes: u8,
    /// Port of the Kubernetes API on 127.0.0.1 (0 takes any free one)
    #[arg(long, default_value_t = 6443, value_name = "PORT")]
    pub api_port: u16,
    /// Port of the AWS endpoint on 127.0.0.1 (0 takes any free one)
    #[arg(long, default_value_t = 4566, value_name = "PORT")]
    pub aws_port: u16,
    /// HTTP port of the gateway on 127.0.0.1 (0 takes any free one)
    #[arg(long, default_value_t = 8080, value_name = "PORT")]
    pub http_port: u16,
    /// HTTPS port of the gateway on 127.0.0.1 (0 takes any free one)
    #[arg(long, default_value_t = 8443, value_name = "PORT")]
    pub https_port: u16,
    /// Seconds a function instance stays warm without a call
    #[arg(long, default_value_t = 300, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub keep_warm: u32,
    /// Booted interpreters to keep waiting for each kind of function that is started now and then (0 boots none ahead)
    #[arg(long, default_value_t = 2, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(0..=4))]
    pub prebooted: u8,
    /// Invocations that may run at the same time, over all functions: the account's limit
    #[arg(long, default_value_t = 1000, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub function_concurrency: u32,
    /// How fast functions may grow: `machine` (as fast as it can), `lambda` (1,000 new instances of each in ten seconds, and
    /// ten requests a second for each unit of concurrency), or another number of new instances in ten seconds
    #[arg(long, default_value = "machine", value_name = "RULE")]
    pub function_growth: Growth,
    /// Seconds before the first and the second retry of an asynchronous invocation that failed; decimals are allowed
    #[arg(long, default_value = "60,120", value_name = "FIRST,SECOND")]
    pub async_retry_delays: RetryDelays,
    /// Whether functions reach the world beyond this machine; the AWS endpoint is inside them in any case
    #[arg(long, value_enum, default_value = "on", value_name = "ON|OFF")]
    pub function_egress: Egress,
    /// Hold streamed answers back as Lambda does: 2 MB/s after the first 6 MB
    #[arg(long)]
    pub stream_brake: bool,
}

/// Where functions may connect to.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Egress {
    /// To the world
    On,
    /// To nothing but themselves
    Off,
}

/// `dory down`
#[derive(ClapArgs, Debug)]
pub struct Down {
    /// Stop only the platform process: pods run on and the next `dory up` adopts them
    #[arg(long)]
    pub keep_pods: bool,
}

/// `dory deploy`
#[derive(ClapArgs, Debug)]
pub struct Deploy {
    /// A manifest (file or directory of .yaml/.json), a function directory, a Linux executable, or with --function an image
    pub path: PathBuf,
    /// PATH is the name of an image, which is to be a function
    #[arg(long)]
    pub function: bool,
    /// Namespace for manifests that name none
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
    /// Name of the function [default: the name of PATH]
    #[arg(long)]
    pub name: Option<String>,
    /// Lambda runtime [default: found from the files in PATH]
    #[arg(long)]
    pub runtime: Option<String>,
    /// Handler, such as index.handler [default: found from the files in PATH]
    #[arg(long)]
    pub handler: Option<String>,
    /// Memory of the function in MB
    #[arg(long, value_name = "MB")]
    pub memory: Option<u32>,
    /// Time limit of the function in seconds
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
    /// Environment variable of the function, as NAME=VALUE; may be repeated
    #[arg(long = "env", value_name = "NAME=VALUE")]
    pub environment: Vec<String>,
    /// Port of a function that is an HTTP server and knows nothing of Lambda [default for an executable that is one: 8080]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Route with path parameters, such as "GET /users/{userId}"; may be repeated
    #[arg(long = "route", value_name = "METHOD PATH")]
    pub routes: Vec<String>,
    /// Return without waiting until deployments are ready
    #[arg(long)]
    pub no_wait: bool,
    /// Seconds to wait until deployments are ready
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub wait_timeout: u64,
}

/// `dory logs`
#[derive(ClapArgs, Debug)]
pub struct Logs {
    /// FUNCTION, or pod/NAME, deployment/NAME or job/NAME
    pub target: String,
    /// Keep printing what is added
    #[arg(long, short)]
    pub follow: bool,
    /// How many lines of the past to print
    #[arg(long, default_value_t = 100)]
    pub tail: u32,
    /// Namespace of the function or workload
    #[arg(long, short, default_value = "default")]
    pub namespace: String,
}

/// `dory top`
#[derive(ClapArgs, Debug)]
pub struct Top {
    /// Print JSON in place of tables
    #[arg(long, short, value_enum)]
    pub output: Option<Output>,
}

/// `dory cost`
#[derive(ClapArgs, Debug)]
pub struct Cost {
    /// A price list [default: prices.json in the data directory, else AWS's list prices]
    #[arg(long, value_name = "FILE")]
    pub prices: Option<PathBuf>,
    /// Print JSON in place of tables
    #[arg(long, short, value_enum)]
    pub output: Option<Output>,
}

/// How figures are printed.
#[derive(clap::ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// One document with all digits
    Json,
}

/// `dory runtime`
#[derive(Subcommand, Debug)]
pub enum Runtime {
    /// Run functions of a runtime in an image from the store: its entrypoint gets the handler, code is at /var/task
    Add {
        /// Lambda runtime, such as ruby3.4
        name: String,
        /// Name of the image
        image: String,
    },
    /// List the runtimes that have an image
    Ls,
    /// Run functions of a runtime on the interpreter of this machine again
    Rm {
        /// Lambda runtime
        name: String,
    },
}

/// `dory image`
#[derive(Subcommand, Debug)]
pub enum Image {
    /// Make an image from a directory (its files become the root file system) or from one executable
    Build {
        /// Directory or executable
        source: PathBuf,
        /// Name of the image, such as my-registry/api:1.0.0
        #[arg(long, short)]
        tag: String,
        /// Entrypoint, one argument each [default for an executable: the executable]
        #[arg(long, allow_hyphen_values = true)]
        entrypoint: Vec<String>,
        /// Arguments after the entrypoint, one each
        #[arg(long, allow_hyphen_values = true)]
        cmd: Vec<String>,
        /// Environment variable, as NAME=VALUE; may be repeated
        #[arg(long = "env", value_name = "NAME=VALUE")]
        environment: Vec<String>,
        /// User to run as, as NAME or UID[:GID]
        #[arg(long)]
        user: Option<String>,
        /// Working directory
        #[arg(long)]
        workdir: Option<String>,
    },
    /// Make an image from a tar of a root file system (plain, gzip or zstd)
    Import {
        /// The tar file
        tar: PathBuf,
        /// Name of the image
        #[arg(long, short)]
        tag: String,
    },
    /// Load the images of a `docker save` or OCI layout tar
    Load {
        /// The tar file
        tar: PathBuf,
    },
    /// Fetch an image from its registry, with the credentials of `docker login` where there are any
    Pull {
        /// Name of the image
        name: String,
    },
    /// List images
    Ls,
    /// Remove images
    Rm {
        /// Names or ids
        #[arg(required = true)]
        names: Vec<String>,
    },
}
