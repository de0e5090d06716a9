#!/usr/bin/env bash
# Runs studies on a real Slurm: one node on loopback, in a temporary folder, gone at the end. Needs root and Debian's
# packages, which it installs if need be. Takes two minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
export NO_COLOR=1

# srun loads PMIx by the name that only the package for developers has.
if ! type slurmctld slurmd munged sbatch mpirun.openmpi &>/dev/null || ! ls /usr/lib/*/pmix2/lib/libpmix.so &>/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    slurmctld slurmd slurm-client munge openmpi-bin libpmix-dev >/dev/null
fi
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

folder=$(mktemp -d)
chmod 755 "$folder"
export SLURM_CONF="$folder/slurm.conf" # From here on, no other Slurm is meant.
daemons=()
finish() {
  local status=$?
  set +e
  ((status == 0)) || tail --lines 20 "$folder"/*.log "$folder"/*/slurm/*.log
  scancel --me && (until_holds is_over) # A step that ends later would wait for the controller.
  kill "${daemons[@]}"
  wait
  rm -rf "$folder"
  exit "$status"
}
trap finish EXIT

fail() {
  echo "FAILED: $1" >&2
  exit 1
}

is_over() { test -z "$(squeue --noheader)"; }

# Waits until a command holds.
until_holds() {
  for _ in {1..600}; do
    if "$@" 2>/dev/null; then return; fi
    sleep 0.1
  done
  fail "waited a minute for: $*"
}

echo "== Slurm begins"
cat >"$SLURM_CONF" <<CONF
ClusterName=loopback
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmUser=root
SlurmctldPort=16817
SlurmdPort=16818
AuthInfo=socket=$folder/munge.socket,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MailProg=/bin/true
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=2
PartitionName=all Nodes=ALL Default=YES
CONF
echo "CgroupPlugin=cgroup/v1" >"$folder/cgroup.conf"
mkdir "$folder/state" "$folder/spool"
head -c 1024 /dev/urandom >"$folder/munge.key"
chmod 400 "$folder/munge.key"
munged --foreground --socket="$folder/munge.socket" --key-file="$folder/munge.key" --pid-file="$folder/munged.pid" \
  --seed-file="$folder/munge.seed" --log-file="$folder/munged.log" 2>"$folder/munged.log" &
daemons+=($!)
until_holds test -S "$folder/munge.socket"
slurmctld -D >"$folder/slurmctld.log" 2>&1 &
daemons+=($!)
slurmd -D >"$folder/slurmd.log" 2>&1 &
daemons+=($!)
is_idle() { sinfo --noheader --format=%T | grep -qx idle; }
until_holds is_idle
sinfo

ablate() { deno task --quiet ablate "$@"; }
# Writes a study of runs by name, each with settings of its own, and as many steps as are said.
write_study() {
  cat >"$folder/$1.json" <<JSON
{
  "name": "$1",
  "base": {
    "device": "cpu",
    "model": { "hidden": 16, "residualHidden": 8 },
    "quantizer": { "codebookSize": 16, "codebookDim": 4 },
    "training": { "maxSteps": $2, "batchSize": 16, "logEverySteps": 1, "checkpointEverySteps": 2 }
  },
  "axes": [{ "name": "which", "values": $3 }]
}
JSON
}
# Whether the run of a study has recorded so many lines.
has_lines() { (($(cat "$folder/$1"/runs/*/metrics.jsonl | wc -l) >= $2)); }
# Launches a study of this folder, with more flags.
launch() { ablate "$folder/$1.json" --out "$folder/$1" --launcher slurm "${@:2}"; }
job_of() { squeue --noheader --format=%F --name "$1"; }
# Stops the run of a study, with a checkpoint, after so many lines.
stop_after() {
  until_holds has_lines "$1" "$2"
  scancel --signal TERM --batch "$(job_of "$1")"
  until_holds is_over
  if ablate collect "$folder/$1" >"$folder/collected"; then fail "a study that was stopped has the exit code 0"; fi
  cat "$folder/collected"
  grep -q "which run, seed 42: started" "$folder/collected" || fail "the stopped run is not told"
}
# The study is finished, and its run took every step once.
check_steps() {
  until_holds is_over
  ablate collect "$folder/$1"
  local steps
  steps=$(grep -h '"kind":"step"' "$folder/$1"/runs/*/metrics.jsonl | grep -oE '"step":[0-9]+' | cut -d: -f2)
  [[ $steps == "$(seq "$2")" ]] || fail "the steps must be 1 to $2, got $steps"
}

echo "== Three runs, one of which fails, launched twice"
write_study tiny 3 '{
  "8 codes": { "quantizer": { "codebookSize": 8 } },
  "16 codes": {},
  "broken": { "optimizer": { "learningRate": 1e6 }, "training": { "maxSteps": 20 } }
}'
ablate "$folder/tiny.json" --out "$folder/tiny" --launcher slurm --jobs 2 --slurm.options "--partition all --time 10 --hold"
ablate "$folder/tiny.json" --out "$folder/tiny" --launcher slurm | tee "$folder/again"
grep -q "3 of the runs already belong to jobs" "$folder/again" || fail "runs of the queue were submitted again"
squeue --array
scontrol release "$(job_of tiny)"
until_holds is_over
if ablate collect "$folder/tiny" >"$folder/collected"; then fail "a study with a failed run has the exit code 0"; fi
cat "$folder/collected"
grep -qE '^\| 8 codes +\|' "$folder/collected" || fail "8 codes is not in the table"
grep -qE '^\| 16 codes +\|' "$folder/collected" || fail "16 codes is not in the table"
grep -q "Failed: which broken.* must be finite" "$folder/collected" || fail "the failure is not told"
grep -q "2 of 3 runs are finished, 1 failed" "$folder/collected" || fail "the runs are not counted"

echo "== A run that is requeued in the middle goes on"
write_study long 400 '{ "run": {} }'
launch long
until_holds has_lines long 20
scontrol requeue "$(job_of long)"
has_two_sessions() { (($(grep -c "^training on" "$folder"/long/slurm/*_0.log) == 2)); }
until_holds has_two_sessions

echo "== One that is stopped in the middle goes on when the study is launched again"
stop_after long 60
launch long
check_steps long 400

echo "== Two processes share a run, started by mpirun, then by srun"
write_study shared 400 '{ "run": {} }'
launch shared --slurm.tasks 2
stop_after shared 10
launch shared --slurm.tasks 2 --slurm.start "srun --mpi=pmix"
check_steps shared 400
[[ $(grep -hc "^training on .*Open MPI.*, 2 ranks into" "$folder"/shared/slurm/*.log) == $'1\n1' ]] ||
  fail "the run was not shared by two processes twice"

echo "== An error of a shared run is told, and one that cannot be shared is not submitted"
write_study wrong 20 '{ "run": { "optimizer": { "learningRate": 1e6 } } }'
launch wrong --slurm.tasks 2
until_holds is_over
if ablate collect "$folder/wrong" >"$folder/collected"; then fail "a study with a failed run has the exit code 0"; fi
cat "$folder/collected"
grep -q "Failed: which run.* must be finite" "$folder/collected" || fail "the failure is not told"
if launch wrong --retry --slurm.tasks 3 2>"$folder/refused"; then fail "a batch of 16 was shared by 3"; fi
grep -q "training.batchSize must be a multiple of their number, got 16" "$folder/refused" || fail "why is not told"

echo "ok: Slurm $(sinfo --version | cut -d' ' -f2)"
