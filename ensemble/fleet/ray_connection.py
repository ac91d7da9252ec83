"""This process connected to a Ray: that of a running cluster, or a private one that is started here and ended again.

Run as a program (`python -m ensemble.fleet.ray_connection FOLDER WORKERS BYTES PLACE`) this file holds a private Ray on
this machine until its standard input closes. It is a process of its own because Ray forks to start its processes, which
a driver that has used JAX must not do; and so that nothing of Ray outlives a killed driver and no Ctrl-C reaches the
workers.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import IO, Any

import ray
from ray._private.services import get_ray_address_from_environment
from ray._raylet import Config  # type: ignore[attr-defined]  # compiled, and its stub leaves this out
from ray.exceptions import RayError

from ensemble.errors import FleetError
from ensemble.fleet.cluster_address import why_no_ray
from ensemble.fleet.ray_environment import private_environment, shipped_code, short_folder, store_bytes
from ensemble.fleet.stop_signals import held_back
from ensemble.surroundings import set_environment

AUTO = "auto"
READY = "ray address "
STARTED = "Ray runtime started"
"""What `ray start` prints once its daemon is up."""
REMEDY = "Start one (ray start --head) and give the host:port that it prints, or leave the address out to run here."
OWN = "own"
"""The address by which other machines reach this one, as Ray finds it."""
LOOPBACK = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
"""Ray on Linux puts an address that other machines reach in the place of 127.0.0.1; it leaves 127.0.0.2 alone."""


@contextmanager
def connection(address: str | None, workers: int) -> Iterator[None]:
    """This process connected to a Ray, which is left as it was found: one that was connected before stays so."""
    if ray.is_initialized():
        yield
        return
    with nullcontext(address) if address else private_ray(workers) as where:
        _join(where, shipped_code() if address else {})
        try:
            yield
        finally:
            ray.shutdown()


def require_cluster(address: str) -> None:
    """Raise FleetError, in seconds, where no Ray can be joined at `address`: host:port, or auto for the one that
    RAY_ADDRESS names or this machine runs. Nothing is asked where this process is connected already."""
    if ray.is_initialized():
        return
    where = _found() if address == AUTO else address
    if (reason := why_no_ray(where)) is not None:
        meant = f"{address}, which is {where} here" if address == AUTO else address
        raise FleetError(f"ensemble.address: there is no Ray cluster at {meant}: {reason}. {REMEDY}")


def require_room() -> None:
    """Raise NoTemporaryFolder where a Ray of this machine's own has no place. Nothing is asked where this process is
    connected already."""
    if not ray.is_initialized():
        short_folder().rmdir()


def cluster_answers() -> bool:
    """Whether the cluster that this process is connected to still does, and Ray's daemon on this machine. Calls of Ray
    wait for one that is gone and then end the process, without a word to Python."""
    return _daemon_answers() and why_no_ray(ray.get_runtime_context().gcs_address) is None


def process_began(actor: Any) -> bool:
    """Whether Ray has given a new actor a process, in which it is being made. Ray calls it pending until it is."""
    return bool(ray._private.state.actors(actor._actor_id.hex()).get("Pid"))


def _daemon_answers() -> bool:
    node: Any = ray._private.worker.global_worker.node
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.connect(node.raylet_socket_name.removeprefix("unix://"))
        except OSError:
            return False
    return True


def _found() -> str:
    """The host:port that auto stands for."""
    try:
        return get_ray_address_from_environment(AUTO, None)
    except ConnectionError as error:
        raise FleetError(
            "ensemble.address: auto was given, but no Ray runs on this machine and RAY_ADDRESS is not set. " + REMEDY
        ) from error


def _join(address: str, shipped: dict[str, Any]) -> None:
    """Connect to the Ray at `address`. Raises FleetError where it does not let this process in."""
    try:
        with _own_handler():
            ray.init(address=address, runtime_env=shipped, log_to_driver=False, configure_logging=False)
    except (ConnectionError, RuntimeError, ValueError, RayError) as error:
        raise FleetError(
            f"The Ray cluster at {address} cannot be joined: {str(error).strip() or type(error).__name__}"
        ) from error


@contextmanager
def _own_handler() -> Iterator[None]:
    """ray.init puts a handler of SIGTERM of its own in place, which ends the process: this process keeps its own."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


@contextmanager
def private_ray(workers: int, place: str = LOOPBACK) -> Iterator[str]:
    """A Ray of this machine's own, ended with the block; yields its address.

    place: LOOPBACK; OWN, so that other machines can join it; or host:port of one that this machine joins, with places
    for so many workers.
    """
    folder = short_folder()
    with set_environment(private_environment(folder)), open(folder / "errors", "w+") as errors:
        # Ray read its configuration when it was imported, before RAY_AUTH_MODE was settled.
        Config.initialize("")
        module = "ensemble.fleet.ray_connection"
        command = [sys.executable, "-m", module, str(folder), str(workers), str(store_bytes()), place]
        pipe = subprocess.PIPE
        with held_back():
            holder = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=errors, text=True, start_new_session=True
            )
        # Leaving the block closes the pipes, which ends the holder, and waits for it.
        with holder:
            yield _address(holder, errors)


def _address(holder: "subprocess.Popen[str]", errors: IO[str]) -> str:
    """What the holder says once its Ray is up."""
    lines = (line.strip() for line in holder.stdout or ())
    address = next((line.removeprefix(READY) for line in lines if line.startswith(READY)), None)
    if address is None:
        errors.seek(0)
        raise FleetError(
            "Ray did not start on this machine. Check the free memory and disk space, or run without Ray by --local. "
            f"Ray says: {errors.read()[-2000:]}"
        )
    return address


def _hold_ray(folder: str, workers: str, store_bytes: str, place: str) -> None:
    """Start Ray, write its address, and end it when the standard input closes, as it does when the driver dies."""
    try:
        if place in (LOOPBACK, OWN):
            address = _begun(folder, int(workers), int(store_bytes), LOOPBACK if place == LOOPBACK else _own_host())
        else:
            address = _joined(folder, workers, store_bytes, place)
        sys.stdout.write(f"{READY}{address}\n")
        sys.stdout.flush()
        sys.stdin.read()
    finally:
        _end_processes()
        shutil.rmtree(folder, ignore_errors=True)


def _begun(folder: str, workers: int, store_bytes: int, host: str) -> str:
    """A new Ray at `host`; its address."""
    context: Any = ray.init(
        address="local",
        num_cpus=workers,
        object_store_memory=store_bytes,
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        _node_ip_address=host,
        # Ray opens its folder to everyone, hence one more inside the private one.
        _temp_dir=os.path.join(folder, "ray"),
    )
    return str(context.address_info["gcs_address"])


def _joined(folder: str, workers: str, store_bytes: str, address: str) -> str:
    """This machine joined to the Ray at `address`, with ports that are free; that address. A daemon that ends later
    ends this program with it."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", f"--address={address}", f"--num-cpus={workers}"]
    command += [f"--object-store-memory={store_bytes}", f"--temp-dir={os.path.join(folder, 'ray')}"]
    # Fixed ports else, on which two Rays of one machine meet.
    command += ["--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0"]
    command += ["--disable-usage-stats", "--include-log-monitor=false", "--log-style=record", "--block"]
    daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    said = []
    for line in daemon.stdout or ():
        said.append(line)
        if STARTED in line:
            break
    else:
        raise RuntimeError(f"`ray start` ended with status {daemon.wait()}: {''.join(said)}")
    threading.Thread(target=_end_with, args=(daemon, folder), daemon=True).start()
    return address


def _end_with(daemon: "subprocess.Popen[str]", folder: str) -> None:
    sys.stderr.write(daemon.communicate()[0] or "")
    _end_processes()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _own_host() -> str:
    return str(ray.util.get_node_ip_address())


def _end_processes() -> None:
    """End all processes below this one at once: they do not hear the signal that Ray would send and wait for."""
    import psutil  # Ray's own copy

    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            process.kill()


if __name__ == "__main__":
    _hold_ray(*sys.argv[1:])
    # Not through Ray's own end, which would wait for the processes that are gone.
    os._exit(0)
