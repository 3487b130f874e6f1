"""A stand-in for Harbor: its face, in front of a real `docker-registry`.

Harbor cannot run on a plain machine; its storage can, because it is distribution 2.8. What
Harbor's core puts in front of that is written here: who may do what, the token service and
its odd challenges, projects, quotas, immutable tags, robots, garbage collection, read-only
mode, proxy-cache projects, cookies, and the part of the API that a client needs.

How far to trust it: challenges, token rules, statuses, codes and the messages of `/v2/`
follow what was read in the source of Harbor 2.15. The texts of the API's own errors, the
fields of `health` and `systeminfo`, and which of 403 and 404 an unknown project gets, are
from general knowledge. None of it has been compared with a running Harbor, and a test
should not rest on more than status and code there.

    with Harbor(users={"ann": Account("pw")}) as harbor:
        harbor.project("team", members={"ann": "developer"}, storage_limit=10 * 2**20)
        harbor.robot("robot$team+ci", "secret", {"team": ("pull", "push")})
        ...  # imgsync push bundle.tar {harbor.host}/team, as ann
        assert harbor.tags("team/app") == {"1.0": digest}

| file | owns |
|---|---|
| `state.py` | what Harbor's database knows: projects, people, blobs, artifacts, tags |
| `identity.py` | who asks, and what they may do |
| `token_service.py` | `/service/token` |
| `routes.py` | what a path of `/v2/` is about |
| `checks.py` | what is refused before anything is done: access, read-only, quota, tags |
| `v2.py` | `/v2/` |
| `proxy_cache.py` | projects that fetch from elsewhere |
| `api.py` | `/api/` |
| `copying.py` | the API's copy of artifacts between repositories |
| `errors.py` | the envelope of errors |
| `server.py` | the server, and the object that tests hold |
"""

from tests.servers.harbor.server import ADMIN, ADMIN_PASSWORD, Harbor
from tests.servers.harbor.state import Account, Artifact, ImmutableRule, Project, Robot

__all__ = [
    "ADMIN",
    "ADMIN_PASSWORD",
    "Account",
    "Artifact",
    "Harbor",
    "ImmutableRule",
    "Project",
    "Robot",
]
