"""A step format whose steps are functions: the signature, helpers one by one, what was asked for.

Steps are coarser than in pseudocode, and each helper is code that stands or falls by itself: the program is
all helpers and the main function, in their order. A repair may change one of them and keep the others, see
`process_data.labels`.
"""

from __future__ import annotations

from o1coder_gym.steps.formats.format import StepFormat
from o1coder_gym.steps.formats.pseudocode import PseudocodeFormat, Words
from o1coder_gym.steps.prompts import EXAMPLE_QUESTION
from o1coder_gym.types import ActionType

_SYSTEM = """\
You solve Python programming problems function by function. Each step is one action:
- signature: write the signature of what is asked for, and which helpers it will call.
- helper: write one helper function in one ```python block.
- main: write what is asked for, which calls the helpers, in one ```python block; do not repeat them.
Write one action per step, under a header such as "### Step 2 (helper)". Write as many helpers as are \
needed, none for an easy problem; the main step is the last one."""

_ANSWER = """\
### Step 1 (signature)
def longest_run(values, limit)
All values are positive, so a window that is too heavy only gets lighter by dropping values on its left. \
One helper finds the width of the heaviest allowed window that ends at each place.

### Step 2 (helper)
```python
def widths(values, limit):
    left = total = 0
    for right, value in enumerate(values):
        total += value
        while total > limit:
            total -= values[left]
            left += 1
        yield right - left + 1
```

### Step 3 (main)
```python
def longest_run(values, limit):
    return max(widths(values, limit), default=0)
```
"""

FUNCTIONS: StepFormat = PseudocodeFormat(
    "functions",
    words=Words(
        (
            ("signature", ActionType.DEFINE),
            ("note", ActionType.REFINE),  # of an agent, e.g. what a repair is to mend
            ("helper", ActionType.HELPER),
            ("main", ActionType.CODE),
        ),
        _SYSTEM,
        (EXAMPLE_QUESTION, _ANSWER),
    ),
)
