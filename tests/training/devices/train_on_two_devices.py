"""Run by test_distributed_runs.py: a recipe's command line on a machine of two logical CPU devices."""

import sys

import tensorflow as tf

from semenet.cli.recipe import run_recipe
from semenet.training.recipe import find_recipe

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
run_recipe(find_recipe("seme_resnet50"), "", sys.argv[1:])
