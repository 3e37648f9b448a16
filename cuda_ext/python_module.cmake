# python_module(<name> <sources>): a nanobind module in <build folder>/module, for any Python from 3.12 on where it can be.
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

find_package(Python 3.11 REQUIRED COMPONENTS Interpreter Development.Module OPTIONAL_COMPONENTS Development.SABIModule)
execute_process(
  COMMAND ${Python_EXECUTABLE} -m nanobind --cmake_dir
  OUTPUT_STRIP_TRAILING_WHITESPACE OUTPUT_VARIABLE nanobind_ROOT COMMAND_ERROR_IS_FATAL ANY)
find_package(nanobind CONFIG REQUIRED)

function(python_module name)
  nanobind_add_module(${name} STABLE_ABI NB_STATIC NOMINSIZE ${ARGN})
  # Without a configuration's own folder below it, whatever the generator.
  set_target_properties(${name} PROPERTIES
    LIBRARY_OUTPUT_DIRECTORY $<1:${CMAKE_BINARY_DIR}/module> RUNTIME_OUTPUT_DIRECTORY $<1:${CMAKE_BINARY_DIR}/module>)
endfunction()
